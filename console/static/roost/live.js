// Keep Roost's pages up to date. Everything works without this module; it only saves the reload.
//
// A page says what it shows by attributes of the element [data-roost-page]. Changes come over a socket; where there is
// none, in server-sent events; where those do not come either, the same question is asked from time to time. All three
// go on from one cursor, so nothing is lost when one dies, and a change is known by its item and number when it is told
// twice. A hidden tab listens to nothing and catches up later.

const SOCKET_PATH = "/roost/live/";
const WAYS = ["socket", "stream", "ask"];
// So often a way that works is taken before a better one is tried again.
const ROUNDS = 8;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30000;
// The server says something every 20 seconds; a line that is still for longer is dead.
const LONGEST_SILENCE = 50000;
const BETWEEN_REFRESHES = 1000;
// How far a step is, no event tells: the page of an item that runs is fetched again so often.
const BETWEEN_LOOKS = 5000;

class Line {
  constructor(root, show) {
    this.root = root;
    this.show = show;
    this.cursor = root.dataset.roostCursor;
    this.way = 0;
    this.rounds = 0;
    this.works = false;
    this.pause = FIRST_PAUSE;
    this.turn = 0;
    this.timer = 0;
    this.close = null;
    document.addEventListener("visibilitychange", () => this.wake());
    window.addEventListener("pageshow", () => this.wake());
    window.addEventListener("pagehide", () => this.rest());
    this.wake();
  }

  wake() {
    if (document.hidden) this.rest();
    else if (!this.close && !this.timer) this.open();
  }

  rest() {
    this.turn += 1;
    clearTimeout(this.timer);
    this.timer = 0;
    const close = this.close;
    this.close = null;
    if (close) close();
  }

  // Ask anew: the page shows other items than before.
  again() {
    this.rest();
    this.wake();
  }

  question() {
    const watched = this.root.dataset.roostWatched;
    const about = watched ? { items: watched.split(" ") } : { list: true };
    return JSON.stringify({ ...about, cursor: this.cursor });
  }

  address(name) {
    const url = new URL(this.root.dataset[name], location.href);
    url.searchParams.set("ask", this.question());
    return url;
  }

  open() {
    const turn = this.turn;
    const current = (what) => (event) => {
      if (turn === this.turn) what(event);
    };
    this.close = this[WAYS[this.way]](current);
  }

  socket(current) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${SOCKET_PATH}`);
    socket.addEventListener("open", current(() => socket.send(this.question())));
    socket.addEventListener("message", current((event) => this.heard(JSON.parse(event.data), current)));
    socket.addEventListener("close", current(() => this.lost()));
    return () => socket.close();
  }

  stream(current) {
    const source = new EventSource(this.address("roostStream"));
    source.addEventListener("message", current((event) => this.heard(JSON.parse(event.data), current)));
    // It would come again by itself, with the cursor that it had at first.
    source.addEventListener("error", current(() => this.lost()));
    return () => source.close();
  }

  ask(current) {
    const stop = new AbortController();
    const options = { headers: { Accept: "application/json" }, redirect: "error", signal: stop.signal };
    const answered = current((told) => {
      if (told) {
        this.works = true;
        this.tell(told);
      }
      this.lost();
    });
    fetch(this.address("roostChanges"), options)
      .then((answer) => (answer.ok ? answer.json() : null))
      .then(answered, () => answered(null));
    return () => stop.abort();
  }

  heard(told, current) {
    this.works = true;
    this.pause = FIRST_PAUSE;
    clearTimeout(this.timer);
    this.timer = setTimeout(current(() => this.lost()), LONGEST_SILENCE);
    this.tell(told);
  }

  // The line ended, or there never was one: try it again, or the next way.
  lost() {
    this.rest();
    if (!this.works) this.way = (this.way + 1) % WAYS.length;
    else if (++this.rounds % ROUNDS === 0) this.way = 0;
    this.works = false;
    if (document.hidden) return;
    const jitter = 0.75 + Math.random() / 2;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.open();
    }, this.pause * jitter);
    this.pause = Math.min(this.pause * 1.5, LONGEST_PAUSE);
  }

  tell(told) {
    this.root.dataset.roostWay = WAYS[this.way];
    this.cursor = told.cursor;
    const changed = Object.entries(told.changed);
    if (changed.length || told.reset) {
      this.pause = FIRST_PAUSE;
      this.show(changed, told);
    }
  }
}

// A list: say quietly how many items changed, and leave it to the reader when to look.
function showOnList(root) {
  const seen = new Set();
  const text = root.querySelector("[data-roost-text]");
  let unknown = false;
  return (changed, told) => {
    for (const [id] of changed) seen.add(id);
    unknown ||= told.reset;
    const count = told.more ? `${seen.size}+` : String(seen.size);
    if (unknown) text.textContent = root.dataset.roostSome;
    else text.textContent = seen.size === 1 ? root.dataset.roostOne : root.dataset.roostMany.replace("%s", count);
    root.hidden = false;
  };
}

// An item's page: fetch it again, until that succeeds, and replace the parts that differ.
function showOnItem(root) {
  let busy = false;
  let stale = false;
  let pause = BETWEEN_REFRESHES;
  const shown = () => Number(document.querySelector("[data-roost-seq]")?.dataset.roostSeq ?? 0);

  async function refresh() {
    stale = true;
    if (busy) return;
    busy = true;
    stale = false;
    try {
      const answer = await fetch(location.href, { redirect: "error", headers: { "X-Requested-With": "roost" } });
      if (answer.ok) patch(new DOMParser().parseFromString(await answer.text(), "text/html"), root);
      else if (answer.status >= 500) stale = true;
      pause = BETWEEN_REFRESHES;
    } catch {
      // What it was told of is told once: the server will be back.
      stale = true;
      pause = Math.min(pause * 1.5, LONGEST_PAUSE);
    }
    setTimeout(() => {
      busy = false;
      if (stale) refresh();
    }, pause);
  }

  setInterval(() => {
    if (!document.hidden && document.querySelector("[data-roost-runs]")) refresh();
  }, BETWEEN_LOOKS);

  return (changed, told) => {
    const news = changed.some(([id, seq]) => id !== root.dataset.roostItem || seq > shown());
    if (news || told.reset) refresh();
  };
}

function patch(fresh, root) {
  const freshRoot = fresh.querySelector("[data-roost-page]");
  if (!freshRoot) return;
  for (const box of document.querySelectorAll("[data-roost-parts]")) {
    const freshBox = fresh.querySelector(`[data-roost-parts="${box.dataset.roostParts}"]`);
    if (freshBox) patchParts(box, freshBox);
  }
  if (root.dataset.roostWatched !== freshRoot.dataset.roostWatched) {
    root.dataset.roostWatched = freshRoot.dataset.roostWatched;
    line.again();
  }
}

function patchParts(box, freshBox) {
  const parts = (of) => [...of.querySelectorAll(":scope > [data-roost-live]")];
  const old = new Map(parts(box).map((part) => [part.dataset.roostLive, part]));
  let before = null;
  for (const part of parts(freshBox)) {
    const name = part.dataset.roostLive;
    let current = old.get(name);
    old.delete(name);
    if (!current || differs(current, part)) {
      const adopted = document.importNode(part, true);
      if (current) {
        keepOpen(current, adopted);
        const focused = current.contains(document.activeElement) && document.activeElement.id;
        current.replaceWith(adopted);
        if (focused) document.getElementById(focused)?.focus();
      } else if (before) before.after(adopted);
      else box.prepend(adopted);
      current = adopted;
    }
    before = current;
  }
  for (const gone of old.values()) gone.remove();
}

// A form's one-time token is new on every page and says nothing about the item.
function differs(one, other) {
  const plain = (part) => {
    const copy = part.cloneNode(true);
    for (const field of copy.querySelectorAll('[name="csrfmiddlewaretoken"]')) field.remove();
    for (const detail of copy.querySelectorAll("details")) detail.removeAttribute("open");
    return copy.innerHTML;
  };
  return plain(one) !== plain(other);
}

// What the reader unfolded stays so: by its id, or else by its place among those without one.
function keepOpen(from, to) {
  const named = (detail) => (detail.id ? `#${CSS.escape(detail.id)}` : null);
  const unnamed = (of) => [...of.querySelectorAll("details:not([id])")];
  const places = unnamed(to);
  for (const open of from.querySelectorAll("details[open]")) {
    const match = named(open) ? to.querySelector(named(open)) : places[unnamed(from).indexOf(open)];
    if (match) match.open = true;
  }
}

const page = document.querySelector("[data-roost-page]");
const line = page && new Line(page, page.dataset.roostPage === "list" ? showOnList(page) : showOnItem(page));
