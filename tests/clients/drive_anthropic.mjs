// Drives the installed @anthropic-ai/sdk, whole and streamed, and by its own tool runner. Nothing but the SDK's variables is set.
import Anthropic from '@anthropic-ai/sdk';
import { MOST_TURNS, TOOLS, model, report, run, schemaOf } from './framework_tools.mjs';

const client = new Anthropic();
const asked = [{ role: 'user', content: 'Please do it.' }];
const tools = Object.keys(TOOLS).map((name) => ({ name, description: name, input_schema: schemaOf(name) }));

const textOf = (message) => message.content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n');

const loop = (ask) => async (ran) => {
  const messages = [...asked];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const message = await ask({ model, max_tokens: 500, messages, tools });
    const calls = message.content.filter((block) => block.type === 'tool_use');
    if (!calls.length) return textOf(message);
    messages.push({ role: 'assistant', content: message.content });
    const results = calls.map(({ id, name, input }) => ({ type: 'tool_result', tool_use_id: id, content: run(ran, name, input) }));
    messages.push({ role: 'user', content: results });
  }
  return 'too many turns';
};

const runner = (stream) => async (ran) => {
  const runnable = tools.map((tool) => ({ ...tool, run: (input) => run(ran, tool.name, input), parse: (input) => input }));
  const going = client.beta.messages.toolRunner({ model, max_tokens: 500, messages: asked, tools: runnable, stream });
  return textOf(await going.runUntilDone());
};

await report({
  whole: loop((body) => client.messages.create(body)),
  stream: loop((body) => client.messages.stream(body).finalMessage()),
  runner: runner(false),
  'runner-stream': runner(true),
});
