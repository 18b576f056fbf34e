// Drives LangChain's agent over Chat Completions, Responses and Messages. Anthropic's base URL is given in code: no variable changes it.
import { ChatAnthropic } from '@langchain/anthropic';
import { ChatOpenAI } from '@langchain/openai';
import { createAgent, tool } from 'langchain';
import { TOOLS, key, model, report, run, schemaOf, url } from './framework_tools.mjs';

const play = (through) => async (ran) => {
  const tools = Object.keys(TOOLS).map((name) => tool((args) => run(ran, name, args), { name, description: name, schema: schemaOf(name) }));
  const agent = createAgent({ model: through, tools, systemPrompt: 'Be kind.' });
  const answer = await agent.invoke({ messages: [{ role: 'user', content: 'Please do it.' }] });
  return answer.messages.at(-1).text;
};

await report({
  chat: play(new ChatOpenAI({ model })),
  responses: play(new ChatOpenAI({ model, useResponsesApi: true })),
  messages: play(new ChatAnthropic({ model, anthropicApiUrl: url, apiKey: key })),
});
