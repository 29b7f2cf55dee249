// Talks to the agent with fetch, and prints what it saw.

const [agent] = process.argv.slice(2);
const invocations = `${agent}/invocations`;

async function answer(url, options) {
  const response = await fetch(url, options);
  return { status: response.status, json: await response.json() };
}

async function stream() {
  const body = JSON.stringify({ action: "stream", seconds: 1 });
  const response = await fetch(invocations, { method: "POST", body });
  if (response.headers.get("content-type") !== "text/event-stream") {
    throw new Error(`no event stream: ${response.headers.get("content-type")}`);
  }
  let text = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    text += piece;
  }
  const data = text.split("\n").filter((line) => line.startsWith("data: "));
  return data.map((line) => JSON.parse(line.slice("data: ".length)));
}

const cleanup = JSON.stringify({ action: "cleanup", seconds: 0 });
console.log(
  JSON.stringify({
    ping: await answer(`${agent}/ping`),
    invocation: await answer(invocations, { method: "POST", body: cleanup }),
    stream: await stream(),
    not_json: await answer(invocations, { method: "POST", body: "{" }),
    not_found: await answer(`${agent}/nothing`),
  }),
);
