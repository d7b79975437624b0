-- What an office does in a day.
INSERT INTO appointments VALUES
  (100001, 'Ada Lovelace', 'WIC-N', '2026-03-05', 30, 12.50, 5),
  (100002, 'José Núñez', 'WIC-N', '2026-03-05', 15, -3.25, -5),
  (100003, 'A name that is longer than the record has room for', 'WIC-S', '2026-03-06', 20, 0, 0),
  (100004, 'Grace Hopper', 'WIC-S', NULL, 45, 1000000.01, 12.34);
UPDATE appointments SET minutes = 25 WHERE appt_id = 100001;
