000100 01  WA-HEADER.
000200     05  WA-REC-TYPE          PIC X(2).
000300     05  WA-FILE-ID           PIC X(8).
000400     05  WA-SEQ-NO            PIC 9(6).
000500     05  FILLER               PIC X(64).
000600 01  WA-DETAIL.
000700     05  WA-REC-TYPE          PIC X(2).
000800     05  WA-APPT-ID           PIC 9(10).
000900     05  WA-STATUS            PIC X.
001000     05  WA-CODE              PIC X(4).
001100     05  WA-TEXT              PIC X(40).
001200     05  FILLER               PIC X(23).
001300 01  WA-TRAILER.
001400     05  WA-REC-TYPE          PIC X(2).
001500     05  WA-COUNT             PIC 9(8).
001600     05  FILLER               PIC X(70).
