CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT, minutes INTEGER);
