// Asks the TypeScript compiler whether values are of a type.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const HERE = dirname(fileURLToPath(import.meta.url));

/** @typedef {{ name: string, type: string, from: string, json: string }} Value JSON text, said to be of `type` out of the file `from`. */
/** @typedef {{ name: string, line: number, says: string }} Complaint */

/**
 * What the compiler has to say of `values`, each a literal in a file of its
 * own. The JSON starts on the first line of that file, so the lines agree.
 *
 * @param {Value[]} values
 * @returns {Complaint[]}
 */
export function complaints(values) {
  const files = new Map(values.map((value) => [join(HERE, `${value.name}.generated.ts`), value]));
  const host = ts.createCompilerHost(options());
  const { getSourceFile, fileExists, readFile } = host;
  /** @param {string} path */
  const generated = (path) => {
    const value = files.get(path);
    return value && source(value);
  };
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => generated(path) ?? readFile(path);
  host.getSourceFile = (path, language, ...rest) => {
    const text = generated(path);
    return text === undefined
      ? getSourceFile(path, language, ...rest)
      : ts.createSourceFile(path, text, language);
  };
  const program = ts.createProgram([...files.keys()], options(), host);
  return [...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics(), ...wrong(program)].map(
    (diagnostic) => complaint(diagnostic, files),
  );
}

/** @param {ts.Program} program */
function wrong(program) {
  return program
    .getSourceFiles()
    .filter((file) => !file.fileName.includes('/node_modules/'))
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]);
}

/** @param {Value} value */
function source({ type, from, json }) {
  return `import type { ${type} } from '${HERE}/types/${from}'; export const value: ${type} = ${json.trim()};\n`;
}

/**
 * @param {ts.Diagnostic} diagnostic
 * @param {Map<string, Value>} files
 * @returns {Complaint}
 */
function complaint(diagnostic, files) {
  const { file, start = 0, messageText } = diagnostic;
  const name = file ? (files.get(file.fileName)?.name ?? file.fileName) : 'tsconfig.json';
  const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 1;
  return { name, line, says: ts.flattenDiagnosticMessageText(messageText, '\n') };
}

/** @returns {ts.CompilerOptions} */
function options() {
  const path = join(HERE, 'tsconfig.json');
  const { config, error } = ts.readConfigFile(path, (file) => readFileSync(file, 'utf8'));
  if (error) throw new Error(ts.flattenDiagnosticMessageText(error.messageText, '\n'));
  // The values need no types of Node.js, which are looked for in the working directory.
  return { ...ts.parseJsonConfigFileContent(config, ts.sys, HERE).options, types: [] };
}
