      *    WIC APPOINTMENTS, THE ANSWER: WHAT THE HOST DID NOT TAKE. LRECL 80, FB.
       01  WA-HEADER.
           05  WA-REC-TYPE          PIC X(2).
           05  WA-FILE-ID           PIC X(8).
           05  WA-SEQ-NO            PIC 9(6).
           05  FILLER               PIC X(64).
       01  WA-DETAIL.
           05  WA-REC-TYPE          PIC X(2).
           05  WA-APPT-ID           PIC 9(9).
           05  WA-STATUS            PIC X.
           05  WA-CODE              PIC X(4).
           05  WA-TEXT              PIC X(40).
           05  FILLER               PIC X(24).
       01  WA-TRAILER.
           05  WA-REC-TYPE          PIC X(2).
           05  WA-COUNT             PIC 9(8).
           05  FILLER               PIC X(70).
