// It is CommonJS, and its default export is one level deeper for a bundler than Grafana's components expect.
import * as all from 'react-custom-scrollbars-2/lib/index.js';
export default all.Scrollbars ?? all.default.default ?? all.default.Scrollbars;
