//! MOVE: the only place where rules, formats, store and adapters meet.

pub mod connector;
