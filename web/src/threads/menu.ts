// What can be done with a thread, for the menu of its row and that of the top bar.
import Archive from '@lucide/svelte/icons/archive';
import ArchiveRestore from '@lucide/svelte/icons/archive-restore';
import Download from '@lucide/svelte/icons/download';
import FileBraces from '@lucide/svelte/icons/file-braces';
import Pencil from '@lucide/svelte/icons/pencil';
import Trash from '@lucide/svelte/icons/trash-2';
import type { Thread } from '../api/types';
import { shell } from '../app/shell.svelte';
import { text } from '../text';
import type { MenuItem } from '../ui/Menu.svelte';
import { archive, exportThread } from './actions';

export function threadMenu(thread: Thread, where: 'list' | 'top'): (MenuItem | 'separator')[] {
  const archived = thread.archived_at !== null;
  return [
    {
      label: text.threads.rename,
      icon: Pencil,
      onselect: () => (shell.renaming = { id: thread.id, where }),
    },
    {
      label: archived ? text.threads.unarchive : text.threads.archive,
      icon: archived ? ArchiveRestore : Archive,
      onselect: () => void archive(thread, !archived),
    },
    {
      label: text.threads.exportMarkdown,
      icon: Download,
      onselect: () => exportThread(thread.id, 'md'),
    },
    {
      label: text.threads.exportJson,
      icon: FileBraces,
      onselect: () => exportThread(thread.id, 'json'),
    },
    'separator',
    {
      label: text.threads.remove,
      icon: Trash,
      danger: true,
      onselect: () => (shell.removing = thread),
    },
  ];
}
