import './styles/base.css';
import './app/theme.svelte';
import { mount } from 'svelte';
import App from './App.svelte';
import { startServiceWorker } from './app/service-worker';

const target = document.getElementById('app')!;
target.replaceChildren();
mount(App, { target });
startServiceWorker();
