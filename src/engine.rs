//! MOVE: the only place where rules, formats, store and adapters meet.

pub mod chains;
pub mod compile;
pub mod connector;
pub mod delivery;
pub mod drop;
pub mod fanout;
pub mod frozen;
pub mod inflow;
pub mod intake;
pub mod keeper;
pub mod lanes;
pub mod ledger;
pub mod links;
pub mod need;
pub mod operate;
pub mod overview;
pub mod push;
pub mod reconcile;
pub mod record;
pub mod rehearse;
pub mod report;
pub mod simulate;
pub mod single;
pub mod source;
pub mod subscription;
pub mod window;
