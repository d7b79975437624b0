//! Before an agent runs: whether it could, and from where its connectors begin.

use crate::config::channels::channels;
use crate::config::{Config, build};
use crate::daemon::agent::AgentError;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::{Db, State, StateError, connector, cursor, intake, log as logs};

/// Finds out whether an agent could start with a configuration: opens its databases and builds its connectors, starts
/// nothing and changes nothing. For a reload, so that the running agent is only stopped for one that can follow it.
pub fn rehearse(config: Config) -> Result<(), AgentError> {
    for database in &config.settings.databases {
        CapturedLog::open(&database.name, &database.path, Access::Write)?;
    }
    let credentials = build::credentials(&config.settings)?;
    for spec in config.connectors {
        build::inlet(&spec, &config.settings, &credentials, &config.conflicts)?;
        if spec.strategy.pushes() {
            build::connector(spec, &config.settings, &credentials, [0; 32])?;
        }
    }
    for spec in config.drops {
        build::drop(spec, &config.settings, [0; 32])?;
    }
    build::sources(&config.settings, &credentials)?;
    channels(&config.settings, &credentials)?;
    Ok(())
}

/// Makes connectors that have never run known, with their cursors where the logs stand now: what is captured from now
/// on is theirs. While an agent runs, it has done so itself.
///
/// # Errors
/// The state file or a database cannot be used.
pub fn register(config: &Config) -> Result<(), AgentError> {
    let mut state = match State::open(&config.settings.state) {
        Err(StateError::Held { .. }) => return Ok(()),
        other => other?,
    };
    let taken_in = |db: &Db| Ok((intake::lowest(db)?.unwrap_or(1), intake::highest(db)?));
    let (lowest, highest) = state.read(taken_in)?;
    let mut places = vec![(logs::INTAKE.to_owned(), lowest, highest)];
    for database in &config.settings.databases {
        let mut log = CapturedLog::open(&database.name, &database.path, Access::Read)?;
        let (lowest, highest) = if log.installed()? { (log.lowest_seq()?, log.highest_seq()?) } else { (1, 0) };
        log.sync_wal()?;
        places.push((database.name.clone(), lowest, highest));
    }
    state.commit(|db| {
        for (name, lowest, highest) in &places {
            let log = logs::remember(db, name)?;
            for spec in config.connectors.iter().chain(&config.drops).filter(|spec| spec.strategy.pushes()) {
                let (known, _) = connector::remember(db, &spec.name)?;
                let begin = if spec.from_beginning { (lowest - 1).max(0) } else { *highest };
                cursor::begin(db, known.id, log, begin)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}
