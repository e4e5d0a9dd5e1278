// The linter's recommended rules, over all JavaScript of the repository. Prettier decides on the form.

import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import globals from 'globals';

export default [
  { ignores: ['docs/api/', 'target/', 'python/', 'coverage/', 'fuzz/', 'bench-pack/'] },
  js.configs.recommended,
  prettier,
  {
    languageOptions: { ecmaVersion: 2024, globals: globals.node },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      // A parameter that is there for its place in the list begins with an underscore.
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' }],
    },
  },
  { files: ['**/*.js', '**/*.cjs'], languageOptions: { sourceType: 'commonjs' } },
  { files: ['**/*.mjs'], languageOptions: { sourceType: 'module' } },
  { files: ['__test__/**'], languageOptions: { globals: globals.jest } },
  // Functions in them run in a browser.
  { files: ['__test__/status/**'], languageOptions: { globals: globals.browser } },
  // They run in a browser, which is given `require` with them: see lib/status/page.js.
  {
    files: ['lib/status/page/**'],
    languageOptions: { globals: { ...globals.browser, require: 'readonly', module: 'writable' } },
  },
];
