//! The adapters in the program, each a file with its fixtures.

/// A file and its fixtures.
macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        /// The files in the program, by name.
        pub const PRESETS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../adapter/presets/", $name, ".yaml")))),*];

        /// Their fixtures, by name.
        pub const FIXTURES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../adapter/presets/", $name, ".fixtures.yaml")))),*];
    };
}

/// The fixtures of plain REST, which no file describes.
pub const REST: &str = include_str!("../../adapter/presets/rest.fixtures.yaml");

presets!(
    "arcgis",
    "cdc_immunization",
    "exec",
    "fhir_immunization",
    "google_calendar",
    "lotus_notes",
    "mllp",
    "s3",
    "salesforce",
    "sap_odata",
    "sharepoint",
    "soap",
    "vista",
    "webdav",
);
