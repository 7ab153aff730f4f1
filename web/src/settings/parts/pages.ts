import type { Component } from 'svelte';

/** A page of the settings or of the administration: /settings/{id}. */
export interface PageEntry {
  id: string;
  label: string;
  icon: Component;
  component: Component;
}
