// Drives the installed @google/genai SDK, whole and streamed. Nothing but the SDK's variables is set.
import { GoogleGenAI } from '@google/genai';
import { MOST_TURNS, TOOLS, key, model, report, run, schemaOf } from './framework_tools.mjs';

const client = new GoogleGenAI({ apiKey: key });
const functionDeclarations = Object.keys(TOOLS).map((name) => ({ name, description: name, parametersJsonSchema: schemaOf(name) }));

const whole = async (body) => [await client.models.generateContent(body)];

async function streamed(body) {
  const pieces = [];
  for await (const piece of await client.models.generateContentStream(body)) pieces.push(piece);
  return pieces;
}

const loop = (ask) => async (ran) => {
  const contents = [{ role: 'user', parts: [{ text: 'Please do it.' }] }];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const pieces = await ask({ model, contents, config: { tools: [{ functionDeclarations }] } });
    const parts = pieces.flatMap((piece) => piece.candidates?.[0]?.content?.parts ?? []);
    const calls = parts.flatMap((part) => (part.functionCall ? [part.functionCall] : []));
    if (!calls.length) return parts.map((part) => part.text ?? '').join('');
    const results = calls.map(({ id, name, args }) => ({ functionResponse: { id, name, response: { result: run(ran, name, args) } } }));
    contents.push({ role: 'model', parts }, { role: 'user', parts: results });
  }
  return 'too many turns';
};

await report({ whole: loop(whole), stream: loop(streamed) });
