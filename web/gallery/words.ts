export const ANSWER = `A long weekend in Bern works well **without a car**: the old town is small, the
river is close, and the train from Zurich takes *56 minutes*.

## Friday

Take the 17:02 and you are at the hotel before six. Dinner at [Casa Novo](https://example.com/casa)
needs a reservation; ask for the terrace.

- **Evening walk**: over the Nydegg bridge, up to the rose garden.
- Breakfast is served from seven:
  - bread, cheese and jam
  - eggs on request
- Keep \`CHF 20\` in coins for the boat.

### What it costs

| Item | For two | Remarks |
|:-----|--------:|:--------|
| Train, return | 98.00 | half fare |
| Hotel, two nights | 420.00 | breakfast included |
| Museum of fine arts | 40.00 | free on the first Saturday of the month |

> The Aare is cold until June. Swim only where others do.

1. Book the hotel.
2. Buy the tickets.
3. Pack:
   - [x] passports
   - [ ] swimming things

Shall I book the 17:02 for you?
`;

export const CODE_ANSWER = `Here is a small one with a type that follows the function:

\`\`\`ts
export function debounce<A extends unknown[]>(call: (...args: A) => void, ms = 200) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (...args: A) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...args), ms); // only the last call counts, whatever came before it
  };
}
\`\`\`

Use it like this:

\`\`\`ts
const search = debounce((words: string) => fetch(\`/api/search?q=\${words}\`), 150);
\`\`\`

1. The **first** call starts a timer.
2. Each further call starts it anew.
3. When nothing comes for \`ms\` milliseconds, the last one is made.

A very long word: Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft, and a
long address: https://example.com/a/very/long/path/that/does/not/fit/on/a/phone?with=query&and=more#fragment
`;

export const REASONING = `The person wants two things. First I look at the calendar for the week.

**Then the trains.** Prices depend on the day, so I need the free evening first.`;
