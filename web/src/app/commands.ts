// Everything one can do by a command, as the palette and the composer's menu offer it: a table of
// what is possible where the person is now.
import Archive from '@lucide/svelte/icons/archive';
import ArchiveRestore from '@lucide/svelte/icons/archive-restore';
import Box from '@lucide/svelte/icons/box';
import CircleStop from '@lucide/svelte/icons/circle-stop';
import Download from '@lucide/svelte/icons/download';
import ImagePlus from '@lucide/svelte/icons/image-plus';
import Keyboard from '@lucide/svelte/icons/keyboard';
import LogOut from '@lucide/svelte/icons/log-out';
import Moon from '@lucide/svelte/icons/moon';
import PanelLeft from '@lucide/svelte/icons/panel-left';
import Pencil from '@lucide/svelte/icons/pencil';
import RefreshCw from '@lucide/svelte/icons/refresh-cw';
import Search from '@lucide/svelte/icons/search';
import SettingsIcon from '@lucide/svelte/icons/settings';
import Shield from '@lucide/svelte/icons/shield';
import SquarePen from '@lucide/svelte/icons/square-pen';
import Sun from '@lucide/svelte/icons/sun';
import SunMoon from '@lucide/svelte/icons/sun-moon';
import Trash from '@lucide/svelte/icons/trash-2';
import type { Component } from 'svelte';
import { session } from '../live/session.svelte';
import { text } from '../text';
import { archive, exportThread } from '../threads/actions';
import { newChat } from './new-chat';
import { signOut } from './sign-out';
import { router } from './router.svelte';
import { shell, type ChatDoor } from './shell.svelte';
import { SHORTCUTS } from './shortcuts';
import { theme } from './theme.svelte';

export type CommandId = keyof typeof text.commands;

export interface Command {
  id: CommandId;
  label: string;
  words: string;
  icon: Component;
  shortcut?: string;
  run: () => void;
}

function command(id: CommandId, icon: Component, run: () => void, shortcut?: string): Command {
  return { id, icon, run, shortcut, ...text.commands[id] };
}

function ofChat(chat: ChatDoor): Command[] {
  const list = [command('model', Box, chat.pickModel), command('attach', ImagePlus, chat.attach)];
  if (chat.conversation.busy) {
    list.unshift(command('stop', CircleStop, chat.stop, 'Escape'));
  } else if (chat.canRegenerate) list.push(command('regenerate', RefreshCw, chat.regenerate));
  return list;
}

function ofThread(chat: ChatDoor): Command[] {
  const thread = chat.thread;
  if (!thread) return [];
  return [
    command('rename', Pencil, () => (shell.renaming = { id: thread.id, where: 'top' })),
    thread.archived_at
      ? command('unarchive', ArchiveRestore, () => void archive(thread, false))
      : command('archive', Archive, () => void archive(thread, true)),
    command('exportMarkdown', Download, () => exportThread(thread.id, 'md')),
    command('exportJson', Download, () => exportThread(thread.id, 'json')),
    command('remove', Trash, () => (shell.removing = thread)),
  ];
}

function ofApp(): Command[] {
  const list = [
    command('settings', SettingsIcon, () => router.go('/settings'), SHORTCUTS.settings.keys[0]),
    command('themeLight', Sun, () => (theme.value = 'light')),
    command('themeDark', Moon, () => (theme.value = 'dark')),
    command('themeSystem', SunMoon, () => (theme.value = 'system')),
    command('sidebar', PanelLeft, () => shell.toggleSidebar(), SHORTCUTS.sidebar.keys[0]),
    command('shortcuts', Keyboard, () => (shell.overlay = 'shortcuts'), SHORTCUTS.sheet.keys[0]),
  ];
  if (session.me?.role === 'admin') {
    list.splice(
      1,
      0,
      command('admin', Shield, () => router.go('/admin')),
    );
  }
  if (session.me?.via === 'cookie') {
    list.push(command('logout', LogOut, () => void signOut()));
  }
  return list;
}

/** Reactive: what can be done now. */
export function commands(): Command[] {
  const chat = shell.chat;
  return [
    command('newChat', SquarePen, newChat, SHORTCUTS.newChat.keys[0]),
    command('search', Search, () => (shell.overlay = 'palette'), SHORTCUTS.palette.keys[0]),
    ...(chat ? ofChat(chat) : []),
    ...(chat ? ofThread(chat) : []),
    ...ofApp(),
  ];
}
