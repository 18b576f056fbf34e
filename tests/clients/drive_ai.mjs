// Drives the AI SDK over Responses, Chat Completions, Messages and Gemini, whole and streamed. Google's base URL is given in code: no
// variable changes it.
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { anthropic } from '@ai-sdk/anthropic';
import { openai } from '@ai-sdk/openai';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { MOST_TURNS, TOOLS, key, model, report, run, schemaOf, url } from './framework_tools.mjs';

const google = createGoogleGenerativeAI({ apiKey: key, baseURL: `${url}/v1beta` });
const models = { responses: openai(model), chat: openai.chat(model), messages: anthropic(model), gemini: google(model) };

const request = (through, ran) => ({
  model: through,
  prompt: 'Please do it.',
  stopWhen: stepCountIs(MOST_TURNS),
  maxRetries: 0,
  tools: Object.fromEntries(
    Object.keys(TOOLS).map((name) => [name, tool({ inputSchema: jsonSchema(schemaOf(name)), execute: (args) => run(ran, name, args) })]),
  ),
});

const loops = {};
for (const [name, through] of Object.entries(models)) {
  loops[name] = async (ran) => (await generateText(request(through, ran))).text;
  loops[`${name}-stream`] = async (ran) => {
    const result = streamText({ ...request(through, ran), onError: ({ error }) => { throw error; } });
    return await result.text;
  };
}
await report(loops);
