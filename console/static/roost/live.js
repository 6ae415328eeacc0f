// Keep Roost's pages up to date. Everything works without this module; it only saves the reload.
//
// A page says what it shows by attributes of the element [data-roost-page]. Changes come over a socket; where there
// is none, the same question is asked over HTTP, less and less often. A hidden tab asks nothing and catches up later.

const SOCKET_PATH = "/roost/live/";
const FIRST_PAUSE = 2000;
const LONGEST_PAUSE = 60000;
const BETWEEN_REFRESHES = 1000;
const SOCKETS_BEFORE_ASKING = 2;

const page = document.querySelector("[data-roost-page]");

class Live {
  constructor(root, show) {
    this.root = root;
    this.show = show;
    this.cursor = root.dataset.roostCursor;
    this.pause = FIRST_PAUSE;
    this.refused = 0;
    this.timer = 0;
    this.socket = null;
    document.addEventListener("visibilitychange", () => this.wake());
    window.addEventListener("pageshow", () => this.wake());
    window.addEventListener("pagehide", () => this.rest());
    this.wake();
  }

  wake() {
    if (document.hidden) return this.rest();
    if (!this.socket && !this.timer) this.connect();
  }

  rest() {
    clearTimeout(this.timer);
    this.timer = 0;
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }

  question() {
    const watched = this.root.dataset.roostWatched;
    const about = watched ? { items: watched.split(" ") } : { list: true };
    return JSON.stringify({ ...about, cursor: this.cursor });
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${SOCKET_PATH}`);
    this.socket = socket;
    socket.addEventListener("open", () => socket.send(this.question()));
    socket.addEventListener("message", (event) => {
      this.refused = 0;
      this.pause = FIRST_PAUSE;
      this.hear(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.refused += 1;
      this.later();
    });
  }

  later() {
    if (document.hidden || this.timer) return;
    const jitter = 0.75 + Math.random() / 2;
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (this.refused % (SOCKETS_BEFORE_ASKING * 3) < SOCKETS_BEFORE_ASKING) this.connect();
      else this.ask();
    }, this.pause * jitter);
    this.pause = Math.min(this.pause * 1.5, LONGEST_PAUSE);
  }

  async ask() {
    this.refused += 1;
    try {
      const url = new URL(this.root.dataset.roostChanges, location.href);
      url.searchParams.set("ask", this.question());
      const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error" });
      if (answer.ok) this.hear(await answer.json());
    } catch {
      // The server is away or the session is over; the next question comes later.
    }
    this.later();
  }

  hear(told) {
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
  return (changed, told) => {
    for (const [id] of changed) seen.add(id);
    const count = told.more ? `${seen.size}+` : String(seen.size);
    text.textContent = seen.size === 1 ? root.dataset.roostOne : root.dataset.roostMany.replace("%s", count);
    root.hidden = false;
  };
}

// An item's page: fetch it again and replace the parts that differ.
function showOnItem(root) {
  let busy = false;
  let again = false;
  const shown = () => Number(document.querySelector("[data-roost-seq]")?.dataset.roostSeq ?? 0);

  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { redirect: "error", headers: { "X-Requested-With": "roost" } });
      if (answer.ok) patch(new DOMParser().parseFromString(await answer.text(), "text/html"), root);
    } catch {
      // The next change, or a reload, brings the page up to date.
    }
    setTimeout(() => {
      busy = false;
      if (again) {
        again = false;
        refresh();
      }
    }, BETWEEN_REFRESHES);
  }

  return (changed, told) => {
    const news = changed.some(([id, seq]) => id !== root.dataset.roostItem || seq > shown());
    if (news || told.reset) refresh();
  };
}

function patch(fresh, root) {
  const freshRoot = fresh.querySelector("[data-roost-page]");
  if (!freshRoot) return;
  root.dataset.roostWatched = freshRoot.dataset.roostWatched;
  for (const box of document.querySelectorAll("[data-roost-parts]")) {
    const freshBox = fresh.querySelector(`[data-roost-parts="${box.dataset.roostParts}"]`);
    if (freshBox) patchParts(box, freshBox);
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

function keepOpen(from, to) {
  for (const open of from.querySelectorAll("details[open][id]")) {
    const match = to.querySelector(`#${CSS.escape(open.id)}`);
    if (match) match.open = true;
  }
}

if (page) new Live(page, page.dataset.roostPage === "list" ? showOnList(page) : showOnItem(page));
