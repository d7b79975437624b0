-- One morning's work of the application. The numbers are of the kind that is never given to a person.
INSERT INTO immunizations (patientId, vaccineCode, dateAdministered) VALUES ('900-00-0001', '140', '2026-03-05');
INSERT INTO immunizations (patientId, vaccineCode, dateAdministered) VALUES ('900-00-0002', '208', '2026-03-05');
UPDATE immunizations SET vaccineCode = '207' WHERE patientId = '900-00-0002';
