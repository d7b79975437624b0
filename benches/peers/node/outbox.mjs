// An outbox loop in Node as one would tune it by hand: better-sqlite3, undici with a keep-alive connection for each
// request in flight, records spread over these (so that one record's events stay in order), events deleted in groups,
// and only below the oldest that is still under way.

import { readFileSync, watch } from "node:fs";
import Database from "better-sqlite3";
import { Client } from "undici";

const { PEER_DATABASE, PEER_URL, PEER_CA, PEER_FLIGHT, PEER_BATCH } = process.env;
const flight = Number(PEER_FLIGHT);
const batch = Number(PEER_BATCH);
const url = new URL(PEER_URL);
const GROUP = 500; // events that are read, and deleted, at once
const WAITING = 4 * GROUP; // events in memory at most

const db = new Database(PEER_DATABASE, { timeout: 5000 });
db.pragma("synchronous = NORMAL");
const read = db.prepare("SELECT seq, body FROM plain WHERE seq > ? ORDER BY seq LIMIT ?").raw();
const remove = db.prepare("DELETE FROM plain WHERE seq <= ?");

let last = 0; // highest event read
let deleted = 0; // all at or below are gone
let open = []; // events read and not yet deleted, oldest first: {seq, body, done}
let settled = 0; // of these, how many at the front are done
let again; // timer after a failure

class Lane {
  constructor() {
    this.client = new Client(url.origin, { connect: { ca: readFileSync(PEER_CA) }, pipelining: 1 });
    this.queue = [];
    this.at = 0;
    this.busy = false;
  }

  // Sends the next one, if nothing is under way: one record is always in one lane.
  send() {
    if (this.busy || this.at === this.queue.length) return;
    this.busy = true;
    const events = this.queue.slice(this.at, this.at + batch);
    const body = batch === 1 ? events[0].body : `[${events.map((event) => event.body).join(",")}]`;
    const headers = ["content-type", "application/json", "idempotency-key", String(events[0].seq)];
    this.client.dispatch({ method: "POST", path: url.pathname, headers, body }, new Answer(this, events));
  }

  // The answer has come: on, or the same again a little later.
  end(events, status) {
    this.busy = false;
    if (status < 200 || status > 299) {
      setTimeout(() => this.send(), 100);
      return;
    }
    for (const event of events) event.done = true;
    this.at += events.length;
    if (this.at === this.queue.length) {
      this.queue.length = this.at = 0;
    }
    this.send();
    settle();
  }
}

class Answer {
  constructor(lane, events) {
    this.lane = lane;
    this.events = events;
    this.status = 0;
  }
  onRequestStart() {}
  onResponseStart(_, status) {
    this.status = status;
  }
  onResponseData() {}
  onResponseEnd() {
    this.lane.end(this.events, this.status);
  }
  onResponseError() {
    this.lane.end(this.events, 0);
  }
}

const lanes = Array.from({ length: flight }, () => new Lane());

function settle() {
  while (settled < open.length && open[settled].done) settled++;
  if (settled >= GROUP || (settled === open.length && settled > 0)) {
    deleted = open[settled - 1].seq;
    remove.run(deleted);
    open = open.slice(settled);
    settled = 0;
  }
  if (open.length <= WAITING - GROUP) fetch();
}

function fetch() {
  const rows = read.all(last, GROUP);
  for (const [seq, body] of rows) {
    last = seq;
    const event = { seq, body, done: false };
    open.push(event);
    // The trigger writes the record's number first: {"record":17,
    const record = parseInt(body.slice(10, 26), 10);
    lanes[record % flight].queue.push(event);
  }
  if (rows.length > 0) for (const lane of lanes) lane.send();
  return rows.length;
}

// A change shows in the write-ahead log at once, but the commit can be read only a moment later.
function look() {
  if (open.length === 0 && fetch() === 0) {
    clearTimeout(again);
    again = setTimeout(() => open.length === 0 && fetch(), 1);
  }
}
fetch();
watch(`${PEER_DATABASE}-wal`, look);
setInterval(look, 20);
