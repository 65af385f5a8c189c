// Loads a model and writes, so that the page itself never waits.
let memory;
let writer;
let stopped;

onmessage = async ({ data }) => {
  try {
    switch (data.kind) {
      case "load":
        await load(data);
        break;
      case "write":
        await write(data);
        break;
      case "stop":
        stopped = true;
        break;
    }
    postMessage({ kind: "memory", bytes: memory.buffer.byteLength });
  } catch (error) {
    postMessage({ kind: "failed", message: error.message ?? String(error) });
  }
};

async function load({ name, source, weights, device }) {
  const { default: start, Writer } = await import(`./${device}.js`);
  ({ memory } = await start());
  const begin = performance.now();
  const bytes = typeof source === "string" ? await download(source) : await source.arrayBuffer();
  const read = performance.now();
  writer = await Writer.read(name, new Uint8Array(bytes), weights);
  postMessage({
    kind: "loaded",
    name,
    bytes: bytes.byteLength,
    parameters: writer.parameters(),
    answers: writer.answers(),
    fetching: read - begin,
    decoding: performance.now() - read,
  });
}

async function download(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url}: ${response.status} ${response.statusText}`);
  }
  return response.arrayBuffer();
}

async function write({ text, limit, temperature, seed }) {
  stopped = false;
  const begin = performance.now();
  const prompt = writer.begin(text, limit, temperature, seed);
  let [first, shown, last] = [undefined, begin, begin];
  let written = "";
  let tokens = 0;
  for (;;) {
    const now = await writer.step();
    if (now === undefined || stopped) break;
    written = now;
    tokens += 1;
    last = performance.now();
    first ??= last;
    // Many tokens may share a frame, and now and then a message that says "stop" has to come through.
    if (last - shown > 30) {
      shown = last;
      postMessage({ kind: "text", written, tokens, rate: (tokens - 1) / (last - first) });
      await new Promise((resume) => setTimeout(resume));
    }
  }
  postMessage({
    kind: "ended",
    written,
    tokens,
    prompt,
    rate: (tokens - 1) / (last - first),
    first: first - begin,
  });
}
