-- HMS-SYNC: the tables of both files, with the reasons. The agent reads this very file; the line of equals
-- signs below parts what goes into the application's file from what goes into the agent's own state file.

-- ===== the application's file =====

-- ===== the agent's state file =====
