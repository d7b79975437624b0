      *    WIC APPOINTMENTS: HEADER, DETAILS, TRAILER. LRECL 80, FB.
       01  WIC-HEADER.
           05  WH-REC-TYPE          PIC X(2).
           05  WH-FILE-ID           PIC X(8).
           05  WH-OFFICE            PIC X(8).
           05  WH-BUS-DATE          PIC 9(8).
           05  WH-SEQ-NO            PIC 9(6).
           05  FILLER               PIC X(48).
       01  WIC-DETAIL.
           05  WD-REC-TYPE          PIC X(2).
           05  WD-ACTION            PIC X.
           05  WD-APPT-ID           PIC 9(9).
           05  WD-NAME              PIC X(25).
           05  WD-CLINIC            PIC X(8).
           05  WD-APPT-DATE         PIC 9(8).
           05  WD-MINUTES           PIC S9(4) COMP.
           05  WD-BALANCE           PIC S9(7)V99 COMP-3.
           05  WD-COPAY             PIC S9(5)V99.
           05  FILLER               PIC X(13).
       01  WIC-TRAILER.
           05  WT-REC-TYPE          PIC X(2).
           05  WT-DETAIL-COUNT      PIC 9(8).
           05  WT-HASH-APPT-ID      PIC 9(10).
           05  WT-SUM-BALANCE       PIC S9(11)V99 COMP-3.
           05  WT-SUM-COPAY         PIC S9(9)V99.
           05  FILLER               PIC X(42).
