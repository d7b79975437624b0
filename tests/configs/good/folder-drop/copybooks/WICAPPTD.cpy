000100     05  :TAG:-REC-TYPE       PIC X(2).
000200     05  :TAG:-APPT-ID        PIC 9(10).
000300     05  :TAG:-CLINIC         PIC X(20).
000400     05  :TAG:-BALANCE        PIC S9(7)V99 COMP-3.
000500     05  :TAG:-STATUS         PIC X(10).
000600     05  FILLER               PIC X(33).
