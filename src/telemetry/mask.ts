/** Matches tokens, keys and passwords by their form. */
const secrets =
  /purser_(?:at|api|join|boot)_[\w-]+|eyJ[\w-]{8,}\.[\w-]*(?:\.[\w-]*)?|-----BEGIN[^"]*|(?<=[a-z]:\/\/[^\s/@":]{0,99}:)[^\s/@"]+(?=@)/g

export const masked = (text: string): string => text.replace(secrets, '[masked]')
