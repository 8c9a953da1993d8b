/** Vite gives the address of a file as a module. */
declare module '*?url' {
  const url: string;
  export default url;
}
