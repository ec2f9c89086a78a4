// Admin: what there is, by what it is for.
import { Icon, type IconName } from '../../components/icon';
import { may } from '../../state/session';
import { usePageTitle } from '../../state/title';
import { PageHead } from '../head';

interface Entry {
  text: string;
  what: string;
  href: string;
  icon: IconName;
  isSystem?: boolean;
}
const entries: { title: string; of: Entry[] }[] = [
  { title: 'Gateways', of: [
    { text: 'Add gateway', what: 'A token, or a connection file for another router', href: '/add', icon: 'plus' },
    { text: 'Spreadsheet upload', what: 'Add, change and move many at once, from CSV or XLSX', href: '/admin/imports', icon: 'upload' },
    { text: 'Approvals', what: 'Gateways that wait until somebody has looked at them', href: '/add?view=approvals', icon: 'check' },
    { text: 'Groups', what: 'The tree: add, rename, move, remove', href: '/admin/groups', icon: 'folder' },
  ] },
  { title: 'People and programs', of: [
    { text: 'Users', what: 'Who logs in, with which rights for which branch', href: '/admin/users', icon: 'user' },
    { text: 'API tokens', what: 'For programs: narrower than the user, with an end', href: '/admin/tokens', icon: 'key' },
    { text: 'Audit log', what: 'Who did what, from where; whether it is whole', href: '/admin/audit', icon: 'eye' },
  ] },
  { title: 'Server', of: [
    { text: 'Tenants', what: 'Customers that do not see each other', href: '/admin/tenants', icon: 'lock', isSystem: true },
    { text: 'Tunnel ports and pools', what: 'Places, networks, draining', href: '/tunnels', icon: 'tunnel' },
    { text: 'Backup', what: 'A copy of everything, while the server goes on', href: '/admin/backup', icon: 'download', isSystem: true },
  ] },
];

export default function Admin() {
  usePageTitle('Admin');
  return (
    <>
      <PageHead title="Admin" />
      <div class="admin-grid">
        {entries.map((part) => (
          <section class="card" key={part.title} aria-label={part.title}>
            <header><h2>{part.title}</h2></header>
            <ul class="admin-list">
              {part.of.filter((one) => !one.isSystem || may('system')).map((one) => (
                <li key={one.href}>
                  <a href={one.href}><Icon name={one.icon} /><span><b class="medium">{one.text}</b><span class="dim">{one.what}</span></span></a>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </>
  );
}
