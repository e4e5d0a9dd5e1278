// An OpenAI client of the gateway: prints the models, then a chat's answer as it comes.
//
//   API_KEY=… node client.mjs "What is the capital of France?" [http://127.0.0.1:19100/v1]

import OpenAI from 'openai';

const [question = 'What is the capital of France?', baseURL = 'http://127.0.0.1:19100/v1'] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: process.env.API_KEY });

const models = await client.models.list();
if (models.data.length === 0) throw new Error('no worker that takes requests has a model');
const [{ id: model }] = models.data;
console.log(`model: ${model}`);

const started = performance.now();
const stream = await client.chat.completions.create({
  model,
  stream: true,
  messages: [{ role: 'user', content: question }],
});
let tokens = 0;
for await (const { choices } of stream) {
  const piece = choices[0].delta.content ?? '';
  process.stdout.write(piece);
  if (piece !== '') tokens += 1;
}
const seconds = (performance.now() - started) / 1000;
console.log(`\n${tokens} pieces in ${seconds.toFixed(1)} s`);
