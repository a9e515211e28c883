export default Object.assign({}, ...Object.values(import.meta.glob('./*.json', { eager: true, import: 'default' }))) as Record<string, string>;
