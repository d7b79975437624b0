-- What it does the day after: a name is put right, an appointment is cancelled.
UPDATE appointments SET name = 'A shorter name' WHERE appt_id = 100003;
DELETE FROM appointments WHERE appt_id = 100002;
UPDATE appointments SET balance = -0.01 WHERE appt_id = 100004;
