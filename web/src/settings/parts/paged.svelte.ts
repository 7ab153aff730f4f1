// A list that comes in pages. A refresh reads as many entries again as were shown.
import { api, type RequestOptions } from '../../api/client';
import { resource, Resource, type Topic } from './resource.svelte';

type Answer<T> = { next_cursor?: string | null } & Record<string, T[] | unknown>;

export class Paged<T> extends Resource<T[]> {
  more = $state(false);
  #wanted = 1; // pages
  readonly #size: number;

  constructor(path: string, member: string, query: () => RequestOptions['query'], size: number) {
    super(async (signal) => {
      const asked = query(); // before the first wait, so that it is followed
      const key = JSON.stringify(asked);
      if (key !== this.#asked) this.#wanted = 1;
      this.#asked = key;
      const items: T[] = [];
      let cursor: string | undefined;
      for (let i = 0; i < this.#wanted; i++) {
        const answer: Answer<T> = await api.get(path, {
          signal,
          query: { ...asked, limit: this.#size, cursor },
        });
        items.push(...(answer[member] as T[]));
        cursor = answer.next_cursor ?? undefined;
        if (!cursor) break;
      }
      this.more = cursor !== undefined;
      return items;
    });
    this.#size = size;
  }
  #asked = '';

  async loadMore(): Promise<void> {
    this.#wanted++;
    await this.refresh();
  }
}

/** For a component's initialisation: the list `member` of the answers of `path`. */
export function pages<T>(
  path: string,
  member: string,
  query: () => RequestOptions['query'] = () => ({}),
  topics?: Topic[],
  size = 50,
): Paged<T> {
  return resource(new Paged<T>(path, member, query, size), topics);
}
