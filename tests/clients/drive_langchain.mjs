// Drives LangChain's models over Chat Completions, Responses and Messages, whole and streamed. Anthropic's base URL is given in code: no
// variable changes it.
import { ChatAnthropic } from '@langchain/anthropic';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { MOST_TURNS, TOOLS, key, model, report, run, schemaOf, url } from './framework_tools.mjs';

const whole = (through, messages) => through.invoke(messages);

async function streamed(through, messages) {
  let all;
  for await (const piece of await through.stream(messages)) all = all ? all.concat(piece) : piece;
  return all;
}

const play = (made, ask) => async (ran) => {
  const tools = Object.keys(TOOLS).map((name) => tool((args) => run(ran, name, args), { name, description: name, schema: schemaOf(name) }));
  const through = made.bindTools(tools);
  const messages = [new HumanMessage('Please do it.')];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const answer = await ask(through, messages);
    if (!answer.tool_calls.length) return answer.text;
    messages.push(answer);
    for (const { id, name, args } of answer.tool_calls) {
      const content = await tools.find((each) => each.name === name).invoke(args);
      messages.push(new ToolMessage({ content, tool_call_id: id }));
    }
  }
  return 'too many turns';
};

const models = {
  chat: new ChatOpenAI({ model, useResponsesApi: false }),
  responses: new ChatOpenAI({ model, useResponsesApi: true }),
  messages: new ChatAnthropic({ model, anthropicApiUrl: url, apiKey: key }),
};
const loops = {};
for (const [name, made] of Object.entries(models)) {
  loops[name] = play(made, whole);
  loops[`${name}-stream`] = play(made, streamed);
}
await report(loops);
