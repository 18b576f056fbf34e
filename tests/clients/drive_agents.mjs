// Drives @openai/agents over Responses and Chat Completions, whole and streamed. Nothing but the SDK's variables is set.
import { Agent, run as runAgent, setOpenAIAPI, tool } from '@openai/agents';
import { TOOLS, model, report, run, schemaOf } from './framework_tools.mjs';

const play = (api, stream) => async (ran) => {
  setOpenAIAPI(api);
  const tools = Object.keys(TOOLS).map((name) =>
    tool({ name, description: name, parameters: schemaOf(name), strict: true, execute: (args) => run(ran, name, args) }),
  );
  const result = await runAgent(new Agent({ name: 'a', instructions: 'Be kind.', model, tools }), 'Please do it.', { stream });
  if (stream) await result.completed;
  return result.finalOutput;
};

await report({
  responses: play('responses', false),
  'responses-stream': play('responses', true),
  chat: play('chat_completions', false),
  'chat-stream': play('chat_completions', true),
});
