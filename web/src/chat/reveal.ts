// Shows a message that a search found: loads as far back as it is, and marks the words.
import type { Conversation, TurnView } from '../live/model';

const MOST_PAGES = 100;
const NAME = 'found';

export function turnWith(turns: readonly TurnView[], messageId: string): TurnView | undefined {
  return turns.find(
    (turn) =>
      turn.user?.id === messageId ||
      turn.items.some((item) => item.id === messageId || item.id.startsWith(`${messageId}#`)),
  );
}

/** Undefined when it is too far back, or when the person went elsewhere (`over`). */
export async function findTurn(
  conversation: Conversation,
  messageId: string,
  over: () => boolean,
): Promise<TurnView | undefined> {
  for (let page = 0; page < MOST_PAGES && !over(); page++) {
    const turn = turnWith(conversation.turns, messageId);
    if (turn || !conversation.hasEarlier) return turn;
    await conversation.loadEarlier();
  }
  return undefined;
}

/** Marks words in what is shown, without touching it; the first one is brought into view. */
export function markWords(root: Element, words: readonly string[]): void {
  if (!CSS.highlights) return;
  const wanted = words.map((word) => word.trim().toLowerCase()).filter(Boolean);
  const ranges: Range[] = [];
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const said = node.textContent!.toLowerCase();
    if (said.length !== node.textContent!.length) continue; // places would not agree
    for (const word of wanted) {
      for (let at = said.indexOf(word); at >= 0; at = said.indexOf(word, at + word.length)) {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + word.length);
        ranges.push(range);
      }
    }
  }
  CSS.highlights.set(NAME, new Highlight(...ranges));
  ranges[0]?.startContainer.parentElement?.scrollIntoView({ block: 'center' });
}

export function unmarkWords(): void {
  CSS.highlights?.delete(NAME);
}
