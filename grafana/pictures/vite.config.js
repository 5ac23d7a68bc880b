import { fileURLToPath } from 'node:url';
const scrollbars = fileURLToPath(new URL('scrollbars.js', import.meta.url));
export default {
  resolve: { alias: [{ find: /^react-custom-scrollbars-2$/, replacement: scrollbars }] },
};
