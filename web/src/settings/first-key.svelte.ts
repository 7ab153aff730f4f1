// The first key closes an open instance, for this page too. So it signs in with it at once; should
// the login come up meanwhile all the same, the key is still there when the page comes back: it is
// shown only now.
import { api } from '../api/client';
import { connection } from '../live/connection.svelte';
import { session } from '../live/session.svelte';
import type { NewApiKey } from './types';

class FirstKey {
  made = $state.raw<NewApiKey>(); // until the person has seen it

  async create(create: () => Promise<NewApiKey>): Promise<void> {
    connection.stop(); // its end would be taken for that of a session
    try {
      this.made = await create();
      await api.post('/api/login', { key: this.made.key });
    } catch (error) {
      if (this.made) return; // the person signs in with it
      await session.load();
      throw error;
    }
    session.handOver(); // the key may be another user's
    await session.load();
  }
}

export const firstKey = new FirstKey();
