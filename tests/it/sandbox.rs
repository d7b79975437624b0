//! What the agent does fits the sandbox of its unit: every system call of its main scenarios passes the unit's filter, and it
//! finds its folders, credentials and service manager as the unit provides them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::drops::nightly::Nightly;
use crate::support::journal::committed;
use crate::support::loopback::Way;
use crate::support::office::{Agent, wait};
use crate::support::receiver::Receiver;
use crate::support::source::{Source, Visit};
use crate::support::sshd::{Sshd, me};
use crate::support::strace::call;

fn unit() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/hms-sync.service")).unwrap()
}

/// The calls in groups of systemd's, as it says itself.
struct Groups(BTreeMap<String, Vec<String>>);

impl Groups {
    fn known() -> Groups {
        let output =
            Command::new("systemd-analyze").arg("syscall-filter").env("SYSTEMD_PAGER", "cat").output().unwrap();
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut last = String::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            match line.trim() {
                "" => {}
                word if word.starts_with('#') => last = if line.starts_with('#') { String::new() } else { last },
                word if line.starts_with('@') => last = word.to_owned(),
                word => groups.entry(last.clone()).or_default().push(word.to_owned()),
            }
        }
        Groups(groups)
    }

    /// Every call of a group, or the call itself.
    fn expand(&self, word: &str, into: &mut BTreeSet<String>) {
        if word.starts_with('@') {
            let members = self.0.get(word).unwrap_or_else(|| panic!("systemd knows no group {word}"));
            members.iter().for_each(|member| self.expand(member, into));
        } else {
            into.insert(word.to_owned());
        }
    }

    /// What a unit's `SystemCallFilter=` lines let pass (systemd.exec(5)): the first makes it a list of what is allowed, one
    /// that begins with `~` takes away again, and `@default` passes always.
    fn allowed(&self, unit: &str) -> BTreeSet<String> {
        let mut allowed = BTreeSet::new();
        for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
            let mut calls = BTreeSet::new();
            let words = line.strip_prefix('~').unwrap_or(line);
            words.split_whitespace().for_each(|word| self.expand(word, &mut calls));
            if line.starts_with('~') { allowed.retain(|call| !calls.contains(call)) } else { allowed.extend(calls) }
        }
        self.expand("@default", &mut allowed);
        allowed
    }
}

/// A folder as the unit provides one, of the agent's alone.
fn folder(at: &Path, name: &str) -> std::path::PathBuf {
    let folder = at.join(name);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

#[test]
fn every_system_call_of_deliveries_files_api_events_reload_and_stop_passes_the_units_filter() {
    let target = Receiver::start();
    let source = Source::start(|visit: &mut Visit| {
        visit.hear();
        visit.say(json!({"type": "rule-changed", "id": "m1", "payload": {"id": 7}}).to_string());
        visit.stay();
    });
    let sshd = Sshd::start("");
    let user = me();
    let deliver = format!(
        "[{{name: host, sftp: {{host: 127.0.0.1, port: {}, user: {user}, key: {{credential: sftp-key}}, host_key: [\"{}\"], dir: \"{}\"}}}}, {{directory: ../../out, name: copy}}]",
        sshd.port,
        sshd.fingerprint("ed25519"),
        sshd.files().display()
    );
    let nightly = Nightly::new(&[("deliver", &deliver)]);
    let office = &nightly.office;
    // As the unit provides them.
    let (state, runtime) = (folder(office.folder(), "service-state"), folder(office.folder(), "service-run"));
    let secrets = folder(office.folder(), "service-credentials");
    fs::copy(sshd.folder.path().join("user"), secrets.join("sftp-key")).unwrap();
    fs::write(secrets.join("token"), "t0ken-of-the-target").unwrap();
    for name in ["sftp-key", "token"] {
        fs::set_permissions(secrets.join(name), fs::Permissions::from_mode(0o440)).unwrap();
    }
    let settings = fs::read_to_string(office.config().join("sync.yaml")).unwrap();
    let settings = settings.lines().filter(|line| !line.starts_with("state:")).collect::<Vec<_>>().join("\n");
    let events = format!(
        "events: [{{type: websocket, name: ops, url: \"wss://{}/events\", listen: rule-changed, tls: {{ca: \"{}\"}}}}]",
        source.address(),
        source.ca.file().display()
    );
    let credentials = "credentials: {legacy: {type: bearer, token: {credential: token}}}";
    fs::write(office.config().join("sync.yaml"), format!("{settings}\n{credentials}\n{events}\n")).unwrap();
    let connector = |listen: &str| {
        let (url, ca) = (target.url("/visits/{id}"), target.ca.file());
        format!(
            "listen: [{listen}]\nstart: beginning\ntarget: {{url: \"{url}\", method: PUT, authType: bearer, credentialsId: legacy, tls: {{ca: \"{}\"}}}}\n",
            ca.display()
        )
    };
    office.connector("legacy", &connector("visits, rule-changed"));

    let manager = UnixDatagram::bind(office.folder().join("notify")).unwrap();
    let plain = office.command(&["run"]);
    let log = office.folder().join("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "0", "-e", "signal=none", "-o"]).arg(&log);
    // The unit's umask and priority, and its folders.
    let unit_text = unit();
    let nice = unit_text.lines().find_map(|line| line.strip_prefix("Nice=")).unwrap();
    command
        .args(["sh", "-c", "umask 0007 && exec nice -n \"$0\" \"$@\"", nice])
        .arg(plain.get_program())
        .args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("STATE_DIRECTORY", &state).env("RUNTIME_DIRECTORY", &runtime).env("CREDENTIALS_DIRECTORY", &secrets);
    command.env("NOTIFY_SOCKET", office.folder().join("notify")).env("WATCHDOG_USEC", "1000000");
    command.env_remove("WATCHDOG_PID");
    let mut agent = Agent::start(command);
    agent.says("running: ");
    let ready = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = ready.clone();
    // It reads to the end: who is not read from is not told on.
    std::thread::spawn(move || {
        let mut word = [0; 4096];
        while let Ok(length) = manager.recv(&mut word) {
            let is_ready = String::from_utf8_lossy(&word[..length]).lines().any(|line| line == "READY=1");
            seen.fetch_or(is_ready, std::sync::atomic::Ordering::SeqCst);
        }
    });
    wait("the service manager hears that it is ready", || ready.load(std::sync::atomic::Ordering::SeqCst));

    office.sql("INSERT INTO visits VALUES (1, 'Ada', 10, NULL)");
    let journal = target.wait("a change and an event arrive", |journal| committed(journal) == 2);
    let bearer = "Bearer t0ken-of-the-target";
    let known = |entry: &crate::support::journal::Entry| entry.headers.iter().any(|(_, value)| value == bearer);
    assert!(journal.iter().all(known), "the credential is sent: {journal:#?}");
    let api = Way::Socket(runtime.join("api.sock"));
    let posted = api.post("/sync", &json!({"type": "rule-changed", "payload": {"id": 8}}).to_string());
    assert_eq!(posted.status, 200, "{posted:?}");
    for page in ["/status", "/connectors/legacy", "/deliveries", "/openapi.json", "/healthz"] {
        assert_eq!(api.get(page).status, 200, "{page}");
    }
    target.wait("what was posted arrives", |journal| committed(journal) == 3);
    // As the verb `drop run` asks for it, which would look for the state elsewhere than the service has it.
    let mut verb = office.command(&["drop", "run", "nightly"]);
    let ran = crate::support::office::ended(verb.env("STATE_DIRECTORY", &state).env("CREDENTIALS_DIRECTORY", &secrets));
    assert_eq!(ran.code, Some(0), "{ran:#?}\n{}", agent.said());
    wait("the file is at the host", || sshd.names().len() == 1);
    // A reload with something new in it.
    office.connector("legacy", &connector("visits"));
    let pid: i32 = {
        let holder = hms_sync::store::state::holder(&state.join("state.db")).unwrap();
        holder.process.parse().unwrap()
    };
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    agent.says("reloaded");
    office.sql("UPDATE visits SET amount = 11; DELETE FROM visits");
    target.wait("it goes on", |journal| committed(journal) == 5);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(agent.wait().code(), Some(0), "{}", agent.said());

    let groups = Groups::known();
    let allowed = groups.allowed(&unit());
    let text = fs::read_to_string(&log).unwrap();
    // The shell around it is no part of the service.
    let began = text.lines().position(|line| line.contains("execve(") && line.contains("hms-sync")).unwrap_or(0);
    let made: BTreeSet<&str> = text.lines().skip(began).filter_map(call).map(|(_, name)| name).collect();
    for must in ["connect", "fdatasync", "sendto", "accept4", "renameat2", "inotify_add_watch"] {
        assert!(made.contains(must), "{must} was never called: the scenario does not do what it says ({made:?})");
    }
    let root = rustix::process::geteuid().is_root();
    // SQLite gives its files to the owner of the database, which only root can do, and the service is not root.
    let denied: Vec<&&str> =
        made.iter().filter(|call| !(allowed.contains(**call) || root && **call == "fchown")).collect();
    assert!(denied.is_empty(), "the unit's filter would deny {denied:?}");
    // The other parts of the sandbox that look at arguments.
    for line in text.lines().skip(began) {
        let name = call(line).map_or("", |(_, name)| name);
        let is_denied = match name {
            // `MemoryDenyWriteExecute=yes`
            "mprotect" | "pkey_mprotect" => line.contains("PROT_EXEC"),
            "mmap" => line.contains("PROT_EXEC") && line.contains("PROT_WRITE"),
            // `RestrictAddressFamilies=`; who looks a name up does without AF_NETLINK.
            "socket" => {
                !["AF_INET,", "AF_INET6,", "AF_UNIX,", "AF_NETLINK,"].iter().any(|family| line.contains(family))
            }
            // `RestrictSUIDSGID=yes`
            "chmod" | "fchmod" | "fchmodat" => {
                let words = line.split([' ', ')']).filter_map(|word| u32::from_str_radix(word, 8).ok());
                words.skip(1).any(|mode| mode & 0o6000 != 0)
            }
            _ => false,
        };
        assert!(!is_denied, "the sandbox would deny {line}");
    }
}

#[test]
fn the_filter_is_read_as_systemd_reads_it() {
    let groups = Groups::known();
    let allowed = groups.allowed(&unit());
    for passes in ["read", "execve", "fdatasync", "sendto", "futex", "clock_nanosleep", "exit_group", "mmap"] {
        assert!(allowed.contains(passes), "{passes}");
    }
    for denied in ["mount", "ptrace", "chown", "setuid", "clock_settime", "swapon", "reboot", "init_module", "bpf"] {
        assert!(!allowed.contains(denied), "{denied}");
    }
}
