// What this browser keeps: tables in IndexedDB. Where it is forbidden or fails, they live as
// long as the page.

export interface Table<T> {
  get(key: string): Promise<T | undefined>;
  all(): Promise<T[]>;
  put(key: string, value: T): Promise<void>;
  delete(key: string): Promise<void>;
}

const DATABASE = 'adjutant';
const TABLES = ['outbox', 'drafts'] as const;
type Name = (typeof TABLES)[number];

const OPEN_MS = 3_000;

let database: Promise<IDBDatabase | null> | undefined;

/** For tests: forgets the database that is open. */
export async function closeStorage(): Promise<void> {
  (await database)?.close();
  database = undefined;
}

function open(): Promise<IDBDatabase | null> {
  return new Promise((resolve) => {
    let request: IDBOpenDBRequest;
    try {
      request = indexedDB.open(DATABASE, 1);
    } catch {
      return resolve(null);
    }
    // Safari has been seen never to answer.
    const timer = setTimeout(() => resolve(null), OPEN_MS);
    request.onupgradeneeded = () => {
      for (const name of TABLES) request.result.createObjectStore(name);
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      const opened = request.result;
      opened.onversionchange = opened.onclose = () => {
        opened.close();
        database = undefined;
      };
      resolve(opened);
    };
    request.onerror = request.onblocked = () => {
      clearTimeout(timer);
      resolve(null);
    };
  });
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const { transaction } = request;
    const fail = () => reject(request.error ?? transaction?.error ?? new Error('storage'));
    request.onerror = fail;
    if (!transaction || transaction.mode === 'readonly') {
      request.onsuccess = () => resolve(request.result);
    } else {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = fail;
    }
  });
}

class StoredTable<T> implements Table<T> {
  #memory = new Map<string, T>(); // what the database would not take

  constructor(readonly name: Name) {}

  async #store(mode: IDBTransactionMode): Promise<IDBObjectStore | null> {
    const opened = await (database ??= open());
    return opened?.transaction(this.name, mode).objectStore(this.name) ?? null;
  }

  async get(key: string): Promise<T | undefined> {
    if (this.#memory.has(key)) return this.#memory.get(key);
    try {
      const store = await this.#store('readonly');
      return store ? await done<T | undefined>(store.get(key)) : undefined;
    } catch {
      return undefined;
    }
  }

  async all(): Promise<T[]> {
    let stored: T[] = [];
    try {
      const store = await this.#store('readonly');
      if (store) stored = await done<T[]>(store.getAll());
    } catch {
      // What is in memory is all there is.
    }
    return [...stored, ...this.#memory.values()];
  }

  async put(key: string, value: T): Promise<void> {
    try {
      const store = await this.#store('readwrite');
      if (store) {
        await done(store.put(value, key));
        this.#memory.delete(key);
        return;
      }
    } catch {
      // No room, or not permitted.
    }
    this.#memory.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.#memory.delete(key);
    try {
      const store = await this.#store('readwrite');
      if (store) await done(store.delete(key));
    } catch {
      // It is not there, or can't be reached.
    }
  }
}

export const table = <T>(name: Name): Table<T> => new StoredTable<T>(name);
