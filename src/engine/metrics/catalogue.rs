//! Every metric: its name, its labels, and what it says. `docs/MONITORING.md` has the same list.

use crate::format::exposition::{Kind, Metric};

const fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

const CONNECTOR: &[&str] = &["connector"];
const DROP: &[&str] = &["drop"];

pub(super) static EVENTS: Metric = metric(
    "sync_events_total",
    Kind::Counter,
    &["connector", "direction", "outcome"],
    "Events by what came of them: outbound delivered, skipped, dead, held, discarded; inbound of an event source received, duplicate, rejected; inbound of a connector that reads written, deleted, echo, again, refused, held, bad.",
);
pub(super) static CAPTURED: Metric = metric(
    "sync_captured_events_total",
    Kind::Counter,
    &["log"],
    "Events that a log has taken in: changes of watched tables, and what was posted or subscribed to (intake).",
);
pub(super) static CONFLICTS: Metric = metric(
    "sync_conflicts_total",
    Kind::Counter,
    &["table", "field", "winner"],
    "Conflicts by what they were about and who won: local, remote, value (a person gave one), or held for a person.",
);
pub(super) static PENDING: Metric = metric(
    "sync_outbox_pending",
    Kind::Gauge,
    CONNECTOR,
    "Events that wait for a connector: queued, due again, behind, or held.",
);
pub(super) static OLDEST: Metric = metric(
    "sync_outbox_oldest_seconds",
    Kind::Gauge,
    CONNECTOR,
    "Age of the oldest event that waits for a connector; 0 when none does.",
);
pub(super) static OVERDUE: Metric = metric(
    "sync_outbox_overdue_seconds",
    Kind::Gauge,
    CONNECTOR,
    "For how long the oldest event should be on its way: a schedule is waited for, and what is held, dead or gathered for a file does not count.",
);
pub(super) static ATTEMPTS: Metric = metric(
    "sync_attempts_total",
    Kind::Counter,
    &["connector", "class"],
    "Attempts of deliveries by what came of them: success, duplicate, or the class of the failure.",
);
pub(super) static DEAD: Metric = metric(
    "sync_dead_letters",
    Kind::Gauge,
    CONNECTOR,
    "Deliveries that were refused or given up, and wait for a person.",
);
pub(super) static HELD: Metric = metric(
    "sync_held_deliveries",
    Kind::Gauge,
    CONNECTOR,
    "Deliveries that are held by a mapping, the gate, or a person.",
);
pub(super) static BREAKER: Metric = metric(
    "sync_breaker_state",
    Kind::Gauge,
    CONNECTOR,
    "1 while the endpoint of a connector is taken for down, and asked slowly; else 0.",
);
pub(super) static MODE: Metric = metric(
    "sync_connector_mode",
    Kind::Gauge,
    &["connector", "mode"],
    "1 for the mode in which a connector is: running, paused, halted, overflowed.",
);
pub(super) static DELIVERY: Metric = metric(
    "sync_delivery_seconds",
    Kind::Histogram,
    &[],
    "Time from the application's commit to the target's acknowledgement, since the agent started.",
);
pub(super) static DENIED: Metric = metric(
    "sync_gate_denied_total",
    Kind::Counter,
    &["connector", "rule"],
    "Events that the governance gate did not let out, by the class that refused.",
);
pub(super) static RECORDS: Metric =
    metric("sync_file_records_total", Kind::Counter, DROP, "Detail records of the files that a drop has published.");
pub(super) static FILE_SUCCESS: Metric =
    metric("sync_file_last_success_timestamp_seconds", Kind::Gauge, DROP, "When a drop has last published a file.");
pub(super) static FILES: Metric =
    metric("sync_files", Kind::Gauge, &["drop", "state"], "Files of a drop by their state.");
pub(super) static FILE_TROUBLE: Metric = metric(
    "sync_file_trouble",
    Kind::Gauge,
    &["drop", "kind"],
    "What a person should look at: files that are held, unverified, late or overdue (no answer), answers put aside, records rejected.",
);
pub(super) static FILE_DATE: Metric = metric(
    "sync_file_last_business_date_timestamp_seconds",
    Kind::Gauge,
    DROP,
    "The business date of the file that a drop has published last, at 00:00 UTC.",
);
pub(super) static NEXT_CUT: Metric =
    metric("sync_file_next_cut_timestamp_seconds", Kind::Gauge, DROP, "When a drop cuts its next file.");
pub(super) static FREE: Metric = metric(
    "sync_disk_free_bytes",
    Kind::Gauge,
    &[],
    "Room on the disk of the application's files or of the state file, whichever has less.",
);
pub(super) static CERTIFICATE: Metric = metric(
    "sync_cert_expiry_timestamp_seconds",
    Kind::Gauge,
    CONNECTOR,
    "When the first certificate of a connector ends: of those that its target has shown, and of its own files.",
);
pub(super) static SKEW: Metric = metric(
    "sync_clock_skew_seconds",
    Kind::Gauge,
    CONNECTOR,
    "By how much the clock of a connector's target, or of what it reads, is ahead of this machine's, as its answers say.",
);
pub(super) static CAPTURE: Metric = metric(
    "sync_capture_ok",
    Kind::Gauge,
    &["table"],
    "1 while the changes of a table are captured; 0 when they are not, or its file cannot be read.",
);
pub(super) static ALERTS: Metric = metric("sync_alerts_open", Kind::Gauge, &["condition"], "Alerts that are open.");
pub(super) static OMITTED: Metric = metric(
    "sync_metrics_omitted",
    Kind::Gauge,
    &[],
    "Figures that are left out because a metric would have more than its most.",
);
pub(super) static BUILD: Metric =
    metric("sync_build_info", Kind::Gauge, &["version", "office"], "Which version runs, and where; always 1.");
pub(super) static RSS: Metric =
    metric("process_resident_memory_bytes", Kind::Gauge, &[], "Memory that the process has in use.");
pub(super) static FDS: Metric =
    metric("process_open_fds", Kind::Gauge, &[], "Files and sockets that the process has open.");
pub(super) static CPU: Metric =
    metric("process_cpu_seconds_total", Kind::Counter, &[], "Processor time that the process has used.");

/// Every metric, in the order in which it is told.
pub static METRICS: [&Metric; 29] = [
    &EVENTS,
    &CAPTURED,
    &CONFLICTS,
    &PENDING,
    &OLDEST,
    &OVERDUE,
    &ATTEMPTS,
    &DEAD,
    &HELD,
    &BREAKER,
    &MODE,
    &DELIVERY,
    &DENIED,
    &RECORDS,
    &FILE_SUCCESS,
    &FILES,
    &FILE_TROUBLE,
    &FILE_DATE,
    &NEXT_CUT,
    &FREE,
    &CERTIFICATE,
    &SKEW,
    &CAPTURE,
    &ALERTS,
    &OMITTED,
    &BUILD,
    &RSS,
    &FDS,
    &CPU,
];
