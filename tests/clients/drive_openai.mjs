// Drives the installed openai SDK over Chat Completions (its own tool runner) and Responses, whole and streamed. Nothing but the SDK's
// variables is set.
import OpenAI from 'openai';
import { MOST_TURNS, TOOLS, model, report, run, schemaOf } from './framework_tools.mjs';

const client = new OpenAI();
const messages = [{ role: 'user', content: 'Please do it.' }];

const runnable = (ran) =>
  Object.keys(TOOLS).map((name) => ({
    type: 'function',
    function: { name, parameters: schemaOf(name), parse: JSON.parse, function: (args) => run(ran, name, args) },
  }));

const chat = (stream) => (ran) => client.chat.completions.runTools({ model, messages, tools: runnable(ran), stream }).finalContent();

const declared = Object.keys(TOOLS).map((name) => ({ type: 'function', name, parameters: schemaOf(name), strict: true }));

const responses = (ask) => async (ran) => {
  const input = [...messages];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const answer = await ask({ model, input, tools: declared });
    const calls = answer.output.filter((item) => item.type === 'function_call');
    if (!calls.length) return answer.output_text;
    input.push(...answer.output);
    for (const { call_id, name, arguments: args } of calls)
      input.push({ type: 'function_call_output', call_id, output: run(ran, name, JSON.parse(args)) });
  }
  return 'too many turns';
};

await report({
  chat: chat(false),
  'chat-stream': chat(true),
  responses: responses((body) => client.responses.create(body)),
  'responses-stream': responses((body) => client.responses.stream(body).finalResponse()),
});
