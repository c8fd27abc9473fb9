// The drawing board in the browser. Strokes go to the address of the page
// itself, as a WebSocket; what comes back is drawn for everybody.
"use strict";

// The board has one size for all; each window shows it as large as it can.
const WIDTH = 1600, HEIGHT = 1000;
const COLOURS = ["#22252b", "#e03131", "#e8590c", "#f2b705", "#2f9e44",
                 "#1c7ed6", "#7048e8", "#d6336c"];
const WIDTHS = [4, 9, 18];
const POINTER_EVERY_MS = 40, POINTER_IDLE_MS = 2500, RETRY_MAX_MS = 5000;

const el = (id) => document.getElementById(id);
const canvas = el("board"), pen = canvas.getContext("2d");
const strokes = new Map();      // id -> {id, c, w, p: [x, y, x, y, ...]}
const people = new Map();       // number -> {n, name, c}
const pointers = new Map();     // number -> {tag, timer}
let socket = null, me = 0, retry = 250;
let colour = COLOURS[5], width = WIDTHS[1];
let drawing = null, serial = 0, pointed = 0;

// ---- drawing ---------------------------------------------------------------

// From the point `from` on: a curve through the middles between points, so
// that a stroke that arrives in pieces looks the same as one that came whole.
function drawStroke(stroke, from = 0) {
  const p = stroke.p, count = p.length / 2;
  const x = (i) => p[2 * i], y = (i) => p[2 * i + 1];
  pen.strokeStyle = stroke.c;
  pen.lineWidth = stroke.w;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  if (from === 0) {
    pen.moveTo(x(0), y(0));
    pen.lineTo(x(0) + 0.01, y(0));
  }
  for (let i = Math.max(1, from); i < count; i++) {
    const a = Math.max(0, i - 2), b = i - 1;
    pen.moveTo((x(a) + x(b)) / 2, (y(a) + y(b)) / 2);
    pen.quadraticCurveTo(x(b), y(b), (x(b) + x(i)) / 2, (y(b) + y(i)) / 2);
  }
  pen.stroke();
}

function drawAll() {
  pen.clearRect(0, 0, WIDTH, HEIGHT);
  strokes.forEach((stroke) => drawStroke(stroke));
}

function fit() {
  const room = canvas.parentElement.getBoundingClientRect();
  const scale = Math.min(room.width / WIDTH, room.height / HEIGHT);
  const sharp = window.devicePixelRatio || 1;
  for (const item of [canvas, el("pointers")]) {
    item.style.width = WIDTH * scale + "px";
    item.style.height = HEIGHT * scale + "px";
  }
  canvas.width = Math.round(WIDTH * scale * sharp);
  canvas.height = Math.round(HEIGHT * scale * sharp);
  pen.setTransform(scale * sharp, 0, 0, scale * sharp, 0, 0);
  drawAll();
}

function extend(piece) {
  const known = strokes.get(piece.id);
  if (!known) {
    strokes.set(piece.id, {...piece, p: [...piece.p]});
    drawStroke(piece);
    return;
  }
  const from = known.p.length / 2;
  known.p.push(...piece.p);
  drawStroke(known, from);
}

// ---- people ----------------------------------------------------------------

function showPeople(list) {
  people.clear();
  list.forEach((person) => people.set(person.n, person));
  el("people").replaceChildren(...list.map((person) => {
    const item = document.createElement("li");
    item.textContent = person.name;
    item.style.background = person.c;
    item.className = person.n === me ? "me" : "";
    return item;
  }));
  pointers.forEach((pointer, n) => {
    if (people.has(n)) return;
    pointer.tag.remove();
    pointers.delete(n);
  });
}

function showPointer(n, x, y) {
  const person = people.get(n);
  if (!person || n === me) return;
  let pointer = pointers.get(n);
  if (!pointer) {
    pointer = {tag: document.createElement("div"), timer: 0};
    pointer.tag.textContent = person.name;
    pointer.tag.style.background = person.c;
    el("pointers").append(pointer.tag);
    pointers.set(n, pointer);
  }
  const scale = el("pointers").clientWidth / WIDTH;
  pointer.tag.className = "pointer";
  pointer.tag.style.transform =
    `translate(${x * scale + 8}px, ${y * scale + 8}px)`;
  clearTimeout(pointer.timer);
  pointer.timer = setTimeout(
    () => pointer.tag.classList.add("idle"), POINTER_IDLE_MS);
}

// ---- the socket ------------------------------------------------------------

function showState(text, good) {
  el("state").textContent = text;
  el("socket").className = good ? "" : "waiting";
}

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN)
    socket.send(JSON.stringify(message));
}

const onMessage = {
  hello(m) {
    me = m.n;
    strokes.clear();
    drawAll();
  },
  board(m) { m.strokes.forEach(extend); },
  people(m) { showPeople(m.people); },
  ink(m) {
    if (m.n !== me) extend({id: m.id, c: m.c, w: m.w, p: m.p});
    showPointer(m.n, m.p.at(-2), m.p.at(-1));
  },
  at(m) { showPointer(m.n, m.x, m.y); },
  clear() {
    strokes.clear();
    drawing = null;
    drawAll();
  },
};

function connect() {
  const url = new URL(location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  socket = new WebSocket(url);
  socket.onopen = () => {
    retry = 250;
    showState("WebSocket", true);
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    const handle = onMessage[message.t];
    if (handle) handle(message);
  };
  socket.onclose = () => {
    showState("connecting again", false);
    drawing = null;
    setTimeout(connect, retry);
    retry = Math.min(retry * 2, RETRY_MAX_MS);
  };
}

// ---- hands -----------------------------------------------------------------

function place(event) {
  const box = canvas.getBoundingClientRect();
  const scale = WIDTH / box.width;
  const limit = (value, max) => Math.round(Math.min(max, Math.max(0, value)));
  return [limit((event.clientX - box.left) * scale, WIDTH),
          limit((event.clientY - box.top) * scale, HEIGHT)];
}

function ink(points) {
  const piece = {id: drawing, c: colour, w: width, p: points};
  extend(piece);
  send({t: "ink", ...piece});
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || drawing || !me) return;
  canvas.setPointerCapture(event.pointerId);
  drawing = `${me}-${++serial}`;
  ink(place(event));
});
canvas.addEventListener("pointermove", (event) => {
  const moves = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  if (drawing) {
    ink((moves.length ? moves : [event]).flatMap(place));
  } else if (event.timeStamp - pointed > POINTER_EVERY_MS) {
    const [x, y] = place(event);
    pointed = event.timeStamp;
    send({t: "at", x, y});
  }
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, (event) => {
    if (drawing) ink(place(event));     // the curve ends in its last point
    drawing = null;
  });

function choices(box, values, chosen, dress, choose) {
  const buttons = values.map((value) => {
    const button = document.createElement("button");
    button.type = "button";
    button.ariaLabel = String(value);
    button.setAttribute("aria-pressed", String(value === chosen));
    dress(button, value);
    button.onclick = () => {
      buttons.forEach((b) => b.setAttribute("aria-pressed", b === button));
      choose(value);
    };
    return button;
  });
  box.replaceChildren(...buttons);
}

choices(el("colours"), COLOURS, colour,
  (button, value) => { button.style.background = value; },
  (value) => { colour = value; });
choices(el("widths"), WIDTHS, width, (button, value) => {
  const dot = document.createElement("i");
  dot.style.width = dot.style.height = value + 2 + "px";
  button.append(dot);
}, (value) => { width = value; });
el("clear").onclick = () => send({t: "clear"});
new ResizeObserver(fit).observe(canvas.parentElement);
fit();
connect();
