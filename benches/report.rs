pub fn write(_: impl Iterator<Item = String>) {}
