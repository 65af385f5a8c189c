// What a visitor sees and does; the model is in worker.js.
const element = (id) => document.getElementById(id);
const seconds = (milliseconds) =>
  milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const perSecond = (rate) => (Number.isFinite(rate) ? (rate * 1000).toFixed(1) : "–");

let worker;
let model;
let busy = false;

// A worker for each model: memory that WebAssembly has taken is given back with its worker only.
function load(name, source) {
  rest("empty");
  worker?.terminate();
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => receive[data.kind](data);
  worker.onerror = (event) => receive.failed({ message: event.message ?? "the worker does not start" });
  model = { name, source };
  element("run").disabled = true;
  say(`Loading ${name} …`);
  const [weights, device] = [element("weights").value, element("device").value];
  worker.postMessage({ kind: "load", name, source, weights, device });
}

const receive = {
  loaded({ name, bytes, parameters, answers, fetching, decoding }) {
    element("name").textContent = name;
    element("about").textContent = `${(parameters / 1e6).toFixed(1)} million parameters, ${megabytes(bytes)}`;
    element("ask").textContent = answers ? "Question" : "Text to be continued";
    element("loading").textContent = `${seconds(fetching)} + ${seconds(decoding)}`;
    element("run").disabled = false;
    say("Ready.");
  },
  text({ written, tokens, rate }) {
    element("written").textContent = written;
    element("tokens").textContent = tokens;
    element("rate").textContent = perSecond(rate);
  },
  ended(data) {
    receive.text(data);
    element("first").textContent = `${seconds(data.first)}, after ${data.prompt} of yours`;
    rest("ended");
    say("Ready.");
  },
  memory({ bytes }) {
    element("memory").textContent = megabytes(bytes);
  },
  failed({ message }) {
    rest("failed");
    say(message, true);
  },
};

function rest(state) {
  busy = false;
  element("run").textContent = "Write";
  element("written").dataset.state = state;
}

function say(text, wrong = false) {
  element("status").textContent = text;
  element("status").classList.toggle("wrong", wrong);
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy) {
    worker.postMessage({ kind: "stop" });
    return;
  }
  busy = true;
  element("run").textContent = "Stop";
  element("written").textContent = "";
  element("written").dataset.state = "writing";
  say("Writing …");
  worker.postMessage({
    kind: "write",
    text: element("text").value,
    limit: element("limit").valueAsNumber,
    temperature: element("temperature").valueAsNumber,
    seed: Math.floor(Math.random() * 2 ** 32),
  });
});

element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !element("run").disabled && !busy) {
    event.preventDefault();
    element("form").requestSubmit();
  }
});

for (const choice of ["weights", "device"]) {
  element(choice).addEventListener("change", () => load(model.name, model.source));
}

function open(file) {
  if (file) load(file.name, file);
}

element("file").addEventListener("change", () => open(element("file").files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  open(event.dataTransfer.files[0]);
});

// Offered where the page was built for one, and this browser lets it be used.
const builds = await (await fetch("builds.json")).json();
const adapter = builds.includes("webgpu") && (await navigator.gpu?.requestAdapter());
element("devices").hidden = !adapter;

// The model beside the page, or another one: ?model=other.gguf
const beside = new URLSearchParams(location.search).get("model") ?? "model.gguf";
load(beside, new URL(beside, location.href).href);
