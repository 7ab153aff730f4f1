// The places of the app: what the sidebar's first lines and a phone's tabs are drawn from. With one
// place there is nothing to choose, and neither shows anything.
import MessageCircle from '@lucide/svelte/icons/message-circle';
import type { Component } from 'svelte';
import { text } from '../text';
import type { Route } from './router.svelte';

export interface Place {
  id: string;
  label: string;
  path: string;
  icon: Component;
  holds: (route: Route) => boolean;
}

export const places: Place[] = [
  {
    id: 'chat',
    label: text.app.chat,
    path: '/',
    icon: MessageCircle,
    holds: (route) => route.screen === 'chat',
  },
];
