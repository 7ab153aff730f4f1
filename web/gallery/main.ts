// Every state of a conversation, to be looked at: `npm run dev`, then /static/gallery/?show=NAME.
import '../src/styles/base.css';
import { mount } from 'svelte';
import Gallery from './Gallery.svelte';

const query = new URLSearchParams(location.search);
const theme = query.get('theme');
if (theme) document.documentElement.dataset.theme = theme;
mount(Gallery, {
  target: document.getElementById('app')!,
  props: { show: query.get('show') ?? 'answers' },
});
