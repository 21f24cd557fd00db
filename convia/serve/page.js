"use strict";
// Everything the page shows comes in as text or as a PNG of the service; nothing is ever put in as HTML.

const texts = JSON.parse(document.getElementById("texts").textContent);
const at = (id) => document.getElementById(id);
const say = (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
const make = (name, text, className) => Object.assign(document.createElement(name), { textContent: text ?? "", className: className ?? "" });
const percent = (share) => new Intl.NumberFormat(document.documentElement.lang, { style: "percent", maximumFractionDigits: 1 }).format(share);
const png = (content) => `data:image/png;base64,${content}`;

let current = null; // the image that was classified last
let turn = 0; // answers to older questions are thrown away

function tell(text, bad = false) {
  at("status").textContent = text;
  at("status").className = bad ? "bad" : "";
}

async function ask(path, query = {}) {
  const address = `${path}?${new URLSearchParams(query)}`;
  const type = current.type.startsWith("image/") ? current.type : "application/octet-stream";
  let answer;
  try {
    answer = await fetch(address, { method: "POST", body: current, headers: { "Content-Type": type } });
  } catch {
    throw new Error(say("unreachable"));
  }
  const values = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(values.error ?? String(answer.status));
  return values;
}

async function inTurn(job) {
  const mine = ++turn;
  try {
    await job(() => mine === turn);
  } catch (error) {
    if (mine === turn) tell(say("failed", { reason: error.message }), true);
  }
}

function classify(blob) {
  current = blob;
  tell(say("working"));
  return inTurn(async (isCurrent) => {
    const { predictions } = await ask("/predict", { top: 10 });
    if (!isCurrent()) return;
    showClasses(predictions[0]);
    tell(say("said", { name: predictions[0].class, share: percent(predictions[0].probability) }));
    at("status").scrollIntoView({ block: "nearest" });
    await explain(predictions[0].class, isCurrent);
    await maps(isCurrent);
  });
}

function showClasses(prediction) {
  const list = make("ul");
  for (const found of prediction.classes) {
    const button = make("button", "", "class");
    button.type = "button";
    button.setAttribute("aria-pressed", String(found.class === prediction.class));
    const track = make("div", "", "track");
    const bar = make("i");
    bar.style.width = `${100 * found.probability}%`;
    track.append(bar);
    track.setAttribute("aria-hidden", "true");
    button.append(make("span", found.class), track, make("span", percent(found.probability)));
    button.addEventListener("click", () => {
      list.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      inTurn((isCurrent) => explain(found.class, isCurrent));
    });
    const row = make("li");
    row.append(button);
    list.append(row);
  }
  at("classes").replaceChildren(list);
}

async function explain(name, isCurrent) {
  const found = await ask("/explain", { class: name });
  if (!isCurrent()) return;
  at("image").src = png(found.image);
  at("heat").src = png(found.heat);
  at("heat").alt = say("cam_alt", { name });
  at("why").hidden = false;
}

async function maps(isCurrent = () => true) {
  const layer = at("layer").value;
  if (!current || !layer) return;
  const found = await ask("/maps", { layer });
  if (!isCurrent()) return;
  const text = say("maps_alt", found) + ` (${found.height} × ${found.width})`;
  at("maps").src = png(found.maps);
  at("maps").alt = text;
  at("mapstext").textContent = text;
  at("seen").hidden = false;
}

// -- files ------------------------------------------------------------------------------------------------------------

at("file").addEventListener("change", () => at("file").files[0] && classify(at("file").files[0]));
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("dragover", () => at("drop").classList.add("over"));
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  at("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) classify(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
  if (file) classify(file);
});

// -- drawing ----------------------------------------------------------------------------------------------------------

const pad = at("pad");
const pen = pad.getContext("2d");
let place = { x: 140, y: 140 };
let isDown = false;
let isKeyDown = false;

function clear() {
  pen.fillStyle = at("dark").checked ? "#fff" : "#000";
  pen.fillRect(0, 0, pad.width, pad.height);
  pen.strokeStyle = at("dark").checked ? "#000" : "#fff";
  pen.lineWidth = 24;
  pen.lineCap = pen.lineJoin = "round";
}

function draw(to) {
  pen.beginPath();
  pen.moveTo(place.x, place.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
  place = to;
}

const where = (event) => ({ x: (event.offsetX * pad.width) / pad.clientWidth, y: (event.offsetY * pad.height) / pad.clientHeight });
const classifyDrawing = () => pad.toBlob((blob) => classify(blob), "image/png");

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  isDown = true;
  place = where(event);
  draw(place);
});
pad.addEventListener("pointermove", (event) => isDown && draw(where(event)));
for (const kind of ["pointerup", "pointercancel"]) {
  pad.addEventListener(kind, () => {
    if (isDown && kind === "pointerup") classifyDrawing();
    isDown = false;
  });
}
pad.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };
  if (event.key === " ") {
    isKeyDown = !isKeyDown;
    if (isKeyDown) draw(place);
  } else if (event.key === "Enter") {
    classifyDrawing();
  } else if (steps[event.key]) {
    const [x, y] = steps[event.key];
    const to = { x: Math.min(280, Math.max(0, place.x + x)), y: Math.min(280, Math.max(0, place.y + y)) };
    if (isKeyDown) draw(to);
    place = to;
  } else {
    return;
  }
  event.preventDefault();
});
at("classify").addEventListener("click", classifyDrawing);
at("clear").addEventListener("click", clear);
at("dark").addEventListener("change", clear);
clear();

// -- the rest ---------------------------------------------------------------------------------------------------------

const cover = () => (at("heat").style.opacity = at("strength").value / 100);
at("strength").addEventListener("input", cover);
cover();
at("layer").addEventListener("change", () => inTurn(maps));
fetch("/model")
  .then((answer) => answer.json())
  .then((model) => {
    at("layer").replaceChildren(...model.layers.map((name) => new Option(name, name)));
    at("layer").value = model.layers.find((name) => name.includes("conv")) ?? model.layers[0] ?? "";
  })
  .catch(() => tell(say("failed", { reason: say("unreachable") }), true));
