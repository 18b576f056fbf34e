// The tools that the npm SDKs' agents are given, and what a driver is told on its command line: URL KEY MODEL.

export const [url, key, model] = process.argv.slice(2);

export const TOOLS = {
  look_up: { city: 'string' },
  delete_all: { path: 'string' },
};

export const schemaOf = (name) => ({
  type: 'object',
  properties: Object.fromEntries(Object.entries(TOOLS[name]).map(([each, type]) => [each, { type }])),
  required: Object.keys(TOOLS[name]),
  additionalProperties: false,
});

// Runs the tool: what was run is added to a list.
export function run(ran, name, args) {
  ran.push([name, args]);
  return 'ok';
}

export const MOST_TURNS = 6;

// Plays every loop after the other and prints what it saw as JSON.
export async function report(loops) {
  const told = {};
  for (const [name, play] of Object.entries(loops)) {
    const ran = [];
    told[name] = { ran, text: await play(ran) };
  }
  console.log(JSON.stringify({ loops: told }));
}
