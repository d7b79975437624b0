//! Where a verb works: configuration, databases, state file.

use std::path::{Path, PathBuf};

use crate::cli::Global;
use crate::cli::failure::{Code, Failure};
use crate::config::{self, Config, Settings};
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::StateReader;

/// Where a verb works.
#[derive(Clone, Debug)]
pub struct Place {
    global: Global,
}

impl Place {
    /// From the command line's global options.
    pub fn new(global: Global) -> Place {
        Place { global }
    }

    /// Whether JSON was asked for.
    pub fn json(&self) -> bool {
        self.global.json
    }

    /// Whether only errors are to be said.
    pub fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// Whether more than usual is to be said.
    pub fn verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// The database that the command line names.
    pub fn database(&self) -> Option<&Path> {
        self.global.database.as_deref()
    }

    /// Whether a configuration or a database was named on the command line.
    pub fn is_named(&self) -> bool {
        self.global.config.is_some() || self.global.database.is_some()
    }

    /// Whether somebody said where the configuration is, by argument or environment.
    pub fn has_named_config(&self) -> bool {
        self.global.config.is_some() || std::env::var_os("HMS_SYNC_CONFIG").is_some_and(|path| !path.is_empty())
    }

    /// The path of the configuration.
    ///
    /// # Errors
    /// None was given and none is at the usual places.
    pub fn config_path(&self) -> Result<PathBuf, Failure> {
        config::locate(self.global.config.as_deref()).map_err(|error| Failure::new(Code::Config, error.to_string()))
    }

    /// The configuration, with the command line's database in place of the configured one. Warnings are logged.
    pub fn config(&self) -> Result<Config, Failure> {
        let mut config = match (&self.global.config, &self.global.database) {
            (None, Some(_)) => match self.config_path() {
                Ok(path) if path.exists() => config::load(&path)?,
                _ => Config {
                    settings: Settings::default(),
                    connectors: Vec::new(),
                    drops: Vec::new(),
                    conflicts: Vec::new(),
                    warnings: Vec::new(),
                },
            },
            _ => config::load(&self.config_path()?)?,
        };
        config.warnings.iter().for_each(|warning| log::debug!("{warning}"));
        self.apply_database(&mut config.settings);
        Ok(config)
    }

    /// Puts the command line's database in place of the configured ones.
    pub fn apply_database(&self, settings: &mut Settings) {
        if let Some(path) = &self.global.database {
            // A file that is configured keeps its name, and with it its cursors.
            match settings.databases.iter().find(|known| known.path == *path).cloned() {
                Some(known) => settings.databases = vec![known],
                None => settings.use_database(path.clone()),
            }
        }
    }

    /// Opens the databases.
    pub fn logs(&self, settings: &Settings, access: Access) -> Result<Vec<CapturedLog>, Failure> {
        if settings.databases.is_empty() {
            let text = "no database: name it with -d FILE, or with `database:` in sync.yaml";
            return Err(Failure::new(Code::Config, text));
        }
        settings
            .databases
            .iter()
            .map(|database| CapturedLog::open(&database.name, &database.path, access).map_err(Failure::from))
            .collect()
    }

    /// Opens the state file for reading.
    pub fn state(&self, settings: &Settings) -> Result<StateReader, Failure> {
        Ok(StateReader::open(&settings.state)?)
    }
}
