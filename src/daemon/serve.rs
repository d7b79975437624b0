//! An agent's API: where it listens, and how the command line finds it.

use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::config::api::Listener;
use crate::daemon::agent::Agent;
use crate::daemon::api::{Api, Shared, Ways};
use crate::daemon::socket;

/// Where the agent of this configuration listens.
pub fn socket_of(settings: &Settings) -> PathBuf {
    let configured = settings.api.listen.iter().find_map(|listener| match listener {
        Listener::Unix(path) => Some(path.clone()),
        Listener::Tcp(..) => None,
    });
    configured.unwrap_or_else(|| socket::default_path(&settings.state))
}

/// Every way in to the agent of this configuration.
pub fn ways(settings: &Settings) -> Ways {
    let tcp = settings.api.listen.iter().filter_map(|listener| match listener {
        Listener::Unix(_) => None,
        Listener::Tcp(address, port) => Some((*address, *port).into()),
    });
    let (token, open_metrics) = (settings.api.token.clone(), settings.api.open_metrics);
    Ways { socket: socket_of(settings), tcp: tcp.collect(), token, open_metrics }
}

/// Starts the API. Delivery goes on without it.
pub fn listen(ways: &Ways, agent: &Agent, shared: &Shared) -> Option<Api> {
    match Api::listen(ways, shared.clone()) {
        Ok(api) => {
            announce(&ways.socket, agent);
            Some(api)
        }
        Err(error) => {
            let path = &ways.socket;
            log::error!("{}: the command line cannot reach this agent: {error}", path.display());
            None
        }
    }
}

/// Notes where the command line finds the agent.
pub fn announce(socket: &Path, agent: &Agent) {
    let path = socket.to_owned();
    let announced = agent.handle().ledger().call(move |state| Ok(state.announce(&path)));
    if let Ok(Err(error)) = announced {
        log::error!("{}: the command line cannot find this agent: {error}", socket.display());
    }
}
