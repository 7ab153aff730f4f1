import type { Answer, Interrupt } from '../src/api/types';
import type { Conversation, Draft, Item, TurnView } from '../src/live/model';
import { ANSWER, CODE_ANSWER, REASONING } from './words';

let last = 0;
const id = (kind: string) => `${kind}-${++last}`;

const PIXELS =
  'iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAJElEQVR4nGNkYPjPgA0wYRUdtBKM' +
  'DP//YxVnwSo6aCUYGf4zYgMAVWwDD2w2Hn8AAAAASUVORK5CYII=';

export class FakeConversation implements Conversation {
  threadId: string | null = 'gallery';
  title = 'Gallery';
  phase = $state<Conversation['phase']>('ready');
  problem = $state<string | null>(null);
  turns = $state<TurnView[]>([]);
  hasEarlier = $state(false);
  earlier: TurnView[] = [];
  get busy() {
    return this.turns.at(-1)?.state === 'running';
  }
  async loadEarlier() {
    await new Promise((resolve) => setTimeout(resolve, 150));
    this.turns.unshift(...this.earlier.splice(-25));
    this.hasEarlier = this.earlier.length > 0;
  }
  async reload() {}
  async send(draft: Draft) {
    this.turns.push(turn(draft.text, [], { state: 'sending' }));
  }
  async edit() {
    return 'fork';
  }
  async regenerate(): Promise<string> {
    throw new Error('Adjutant does not answer. It may be restarting; try again in a moment.');
  }
  async stop() {}
  async retry(again: TurnView) {
    again.state = 'sending';
  }
  discard(gone: TurnView) {
    this.turns = this.turns.filter((one) => one.id !== gone.id);
  }
  async answer(interrupt: Interrupt, answer: Answer) {
    await new Promise((resolve) => setTimeout(resolve, 600));
    for (const one of this.turns) {
      one.interrupts = one.interrupts.filter((open) => open.id !== interrupt.id);
      for (const item of one.items) {
        if (item.kind !== 'tool' || item.interrupt?.id !== interrupt.id) continue;
        item.interrupt = undefined;
        item.state = 'approved' in answer && answer.approved ? 'running' : 'failed';
      }
    }
  }
  close() {}
}

export function turn(
  said: string | TurnView['user'],
  items: Item[],
  more: Partial<TurnView> = {},
): TurnView {
  const user =
    typeof said === 'string'
      ? { id: id('m'), content: said, createdAt: new Date().toISOString() }
      : said;
  return { id: id('turn'), state: 'done', user, items, interrupts: [], ...more };
}

export const text = (words: string, open = false): Item => ({
  kind: 'text',
  id: id('text'),
  text: words,
  open,
});

const tool = (name: string, args: unknown, more: Partial<Extract<Item, { kind: 'tool' }>> = {}) =>
  ({
    kind: 'tool',
    id: id('call'),
    name,
    arguments: JSON.stringify(args),
    state: 'done',
    startedAt: Date.now() - 1_300,
    endedAt: Date.now(),
    ...more,
  }) as Item;

const reasoning = (words: string, more = {}): Item => ({
  kind: 'reasoning',
  id: id('think'),
  text: words,
  open: false,
  seconds: 6,
  ...more,
});

const question = (metadata: Interrupt['metadata'], minutes = 14): Interrupt => ({
  id: id('interrupt'),
  reason: metadata?.kind === 'elicitation' ? 'input_required' : 'tool_call',
  expiresAt: new Date(Date.now() + minutes * 60_000).toISOString(),
  metadata,
});

function made(turns: TurnView[], more: Partial<FakeConversation> = {}): FakeConversation {
  const conversation = new FakeConversation();
  conversation.turns = turns;
  return Object.assign(conversation, more);
}

const makers: Record<string, () => FakeConversation> = {
  answers: () =>
    made([
      turn('Plan a long weekend in Bern for two, by train from Zurich.', [text(ANSWER)]),
      turn('Now show me how to debounce a function in TypeScript.', [text(CODE_ANSWER)]),
    ]),
  tools: () =>
    made([
      turn(
        'When is my next free evening, and what does it cost to get to Lyon?',
        [
          reasoning(REASONING),
          tool(
            'calendar_list_events',
            { from: '2026-03-02', to: '2026-03-08' },
            {
              result: '{"events":[{"title":"Dinner","start":"2026-03-03T19:00"}]}',
            },
          ),
          tool(
            'search_trains',
            { from: 'Bern', to: 'Lyon', date: '2026-03-05' },
            {
              result: 'No direct trains on this day.',
            },
          ),
          tool(
            'github_create_issue',
            { title: 'Trip' },
            { state: 'failed', result: 'Bad credentials' },
          ),
          text('Thursday evening is free. A return ticket to **Lyon** costs about 118 francs.'),
          tool(
            'fetch_page',
            { url: 'https://example.com/timetable?from=bern&to=lyon&via=geneva' },
            {
              state: 'running',
              startedAt: Date.now() - 4_000,
              endedAt: undefined,
              progress: { progress: 3, total: 8, message: 'Reading page 3 of 8' },
            },
          ),
        ],
        { state: 'running' },
      ),
    ]),
  waiting: () =>
    made([
      turn('Hello', [text('Hello! What can I do for you?')]),
      turn(
        'Think hard about this one.',
        [
          reasoning('', { open: true, seconds: undefined }),
          { kind: 'notice', id: 'n', what: 'model_silent', seconds: 28 },
        ],
        { state: 'running' },
      ),
      turn('And this, later', [], { state: 'queued' }),
      turn('Sent from a tunnel', [], { state: 'unsent' }),
    ]),
  approval: () => {
    const call = question({
      kind: 'approval',
      server: 'github',
      tool: 'create_issue',
      name: 'create_issue',
      arguments: {
        repository: 'adjutant/web',
        title: 'The jump button covers the last line on small phones',
        body: 'Seen on an iPhone SE.\n\n1. Open a long thread\n2. Scroll up a little',
        private: false,
        priority: 2,
      },
    });
    return made([
      turn(
        'File an issue about the jump button.',
        [
          text('I will file this for you.'),
          tool('create_issue', call.metadata?.arguments, {
            state: 'asking',
            interrupt: call,
            startedAt: undefined,
            endedAt: undefined,
          }),
        ],
        { state: 'interrupted', interrupts: [call] },
      ),
    ]);
  },
  elicitation: () =>
    made([
      turn('Book the table.', [tool('book_table', { place: 'Casa Novo' }, { state: 'running' })], {
        state: 'interrupted',
        interrupts: [
          question({
            kind: 'elicitation',
            server: 'tables',
            tool: 'book_table',
            questions: [
              {
                key: 'answer',
                mode: 'form',
                message: 'Who is the table for?',
                schema: {
                  type: 'object',
                  properties: {
                    name: { type: 'string', title: 'Name', minLength: 2 },
                    email: { type: 'string', format: 'email', description: 'For the confirmation' },
                    day: { type: 'string', format: 'date', title: 'Day' },
                    guests: { type: 'integer', minimum: 1, maximum: 12, default: 2 },
                    area: { type: 'string', enum: ['in', 'out'], enumNames: ['Inside', 'Terrace'] },
                    vegetarian: { type: 'boolean', title: 'Vegetarian menu' },
                  },
                  required: ['name', 'email', 'day'],
                },
              },
            ],
          }),
        ],
      }),
      turn('And pay.', [tool('pay', { amount: 40 }, { state: 'running' })], {
        state: 'interrupted',
        interrupts: [
          question({
            kind: 'elicitation',
            server: 'payments',
            questions: [
              {
                key: 'answer',
                mode: 'url',
                message: 'Please confirm the payment with your bank.',
                url: 'https://bank.example/confirm/8c1b0a7e?return=https%3A%2F%2Fpay.example%2Fdone',
              },
            ],
          }),
        ],
      }),
    ]),
  errors: () =>
    made([
      turn('One', [text('A part of the answer was')], {
        state: 'failed',
        error: {
          code: 'busy',
          message: 'Anthropic limits how often this key may ask; try again in 20 s',
        },
      }),
      turn('Two', [], {
        state: 'failed',
        error: { code: 'forbidden', message: 'No LLM key configured. Add one in the settings' },
      }),
      turn('Three', [], {
        state: 'failed',
        error: {
          code: 'limit',
          message: 'the conversation is too long for gpt-5.4; shorten it or start a new thread',
        },
      }),
      turn('Refused', [], {
        state: 'failed',
        refused: true,
        error: { code: 'busy', message: 'you have 8 turns open; wait for one to end' },
      }),
      turn('Four', [text('This was stopped in the mid')], { state: 'cancelled' }),
      turn('Five', [tool('create_issue', {}, { state: 'failed', result: 'Not answered' })], {
        state: 'interrupted',
      }),
    ]),
  images: () =>
    made([
      turn(
        {
          id: 'm-images',
          createdAt: new Date().toISOString(),
          content: [
            { type: 'image', media_type: 'image/png', data: PIXELS },
            { type: 'image', media_type: 'image/png', data: PIXELS },
            { type: 'image', url: 'https://example.com/cat.png' },
            { type: 'text', text: 'Which of these is sharper?' },
          ],
        },
        [text('They are the same picture.')],
      ),
      turn(`A long one. ${'And on and on it goes. '.repeat(120)}`, [text('I see.')]),
    ]),
  stream: () => made([turn('Plan a long weekend in Bern.', [], { state: 'running' })]),
  long: () => {
    const all = Array.from({ length: 1_000 }, (_, i) =>
      turn(`Question ${i + 1}: what about this?`, [
        text(i % 5 ? `Answer ${i + 1}. ${ANSWER.slice(0, 600)}` : CODE_ANSWER),
      ]),
    );
    return made(all);
  },
  paged: () => {
    const all = makers.long!().turns;
    return made(all.slice(-25), { hasEarlier: true, earlier: all.slice(0, -25) });
  },
  huge: () =>
    made([
      turn('A huge table', [
        text(
          `| a | b | c |\n|---|---|---|\n${'| one | two | three |\n'.repeat(20_000)}\nAfter it.`,
        ),
      ]),
      turn('A huge answer', [text(`${ANSWER}\n\n`.repeat(400))]),
      turn('Huge code', [
        text(`\`\`\`js\n${'const a = 1; // and more\n'.repeat(40_000)}\`\`\`\n\nAfter it.`),
      ]),
    ]),
  loading: () => made([], { phase: 'loading' }),
  missing: () => made([], { phase: 'missing' }),
  failed: () => made([], { phase: 'failed', problem: 'Adjutant does not answer.' }),
};

export function fixture(name: string): FakeConversation {
  const conversation = (makers[name] ?? makers.answers!)();
  if (name === 'stream') void stream(conversation);
  Object.assign(globalThis, { gallery: conversation, galleryText: text });
  return conversation;
}

/** About 50 tokens a second, a token being four characters. */
async function stream(conversation: FakeConversation) {
  const speed = Number(new URLSearchParams(location.search).get('ms') ?? 20);
  const running = conversation.turns.at(-1)!;
  await new Promise((resolve) => setTimeout(resolve, 500));
  running.items.push(text('', true));
  const item = running.items.at(-1)! as Extract<Item, { kind: 'text' }>;
  const words = `${ANSWER}\n\n${CODE_ANSWER}`.slice(0, 4_000);
  for (let at = 0; at < words.length; at += 4) {
    item.text += words.slice(at, at + 4);
    await new Promise((resolve) => setTimeout(resolve, speed));
  }
  item.open = false;
  running.state = 'done';
  Object.assign(globalThis, { galleryDone: true });
}
